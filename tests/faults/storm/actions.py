"""Actions of users in a storm, on runs and nodes."""

from collections import Counter

from django.db import DatabaseError, InterfaceError

from django_tasktree import NodeResult, TreeResult
from django_tasktree.exceptions import NotPossible
from django_tasktree.models import NodeRun, TreeRun
from django_tasktree.states import Hold
from tests.sample.storm_tasks import storm

_OF_RUNS = ["pause", "resume", "resume", "revoke", "retry"]
_OF_NODES = ["pause", "resume", "complete", "retry", "rerun", "revoke", "add", "add"]


class RandomActions:
    """A user who acts on runs at random.

    Attributes:
        done: how often each action was carried out.
        answers: the tokens of all answers: payloads of events, and of completions of wait nodes.
    """

    def __init__(self, choose):
        self.choose = choose
        self.done = Counter()
        self.answers = set()

    def act(self, run_id):
        """Do a random action on a run, on one of its sub-runs, or on one of their nodes."""
        run_id = self.choose.choice([run_id, run_id, *_sub_runs(run_id)])
        nodes = list(NodeRun.objects.filter(run_id=run_id).values_list("id", flat=True))
        if self.choose.random() < 0.3:
            self._do(self.choose.choice(_OF_RUNS), TreeResult(run_id), "runs")
        elif nodes:
            self._do(self.choose.choice(_OF_NODES), NodeResult(self.choose.choice(nodes)), "nodes")

    def release(self, run_id):
        """Resume the run, its sub-runs and every node with a hold, so that the run can end."""
        for key in (run_id, *_sub_runs(run_id)):
            self._do("resume", TreeResult(key), None)
        for key in NodeRun.objects.filter(run_id=run_id).exclude(hold=Hold.NONE).values_list("id", flat=True):
            self._do("resume", NodeResult(key), None)

    def send_event(self, run_id):
        """Send an event, for which no node may wait yet."""
        self._do("send_event", TreeResult(run_id), "runs")

    def answer(self, share):
        """Complete a share of the nodes that wait for an event."""
        waiting = NodeRun.objects.filter(state="WAITING", wait__isnull=False).exclude(lane="")
        for key in list(waiting.values_list("id", flat=True)):
            if self.choose.random() < share:
                self._do("answer", NodeResult(key), "nodes")

    def _answer(self):
        token = f"answer {len(self.answers)}"
        self.answers.add(token)
        return {"token": token}

    def _do(self, action, handle, counted):
        try:
            if action == "add":
                handle.add_task(storm, kwargs={"label": "added", "kind": "succeeds", "seconds": 0}, run_when="always")
            elif action == "send_event":
                handle.send_event("event", self._answer())
            elif action == "answer":
                handle.complete(self._answer())
            else:
                getattr(handle, action)()
        except NotPossible:
            return
        except (DatabaseError, InterfaceError):
            # An outage interrupted the action; it may have been carried out or not.
            self.done["interrupted"] += 1
            return
        if counted:
            self.done[f"{action} of {counted}"] += 1


def _sub_runs(run_id):
    return TreeRun.objects.filter(parent_run_id=run_id).values_list("id", flat=True)
