"""Actions of users in a storm, on runs and nodes."""

from collections import Counter

from django.db import DatabaseError, InterfaceError

from django_tasktree import NodeResult, TreeResult
from django_tasktree.exceptions import NotPossible
from django_tasktree.models import NodeRun
from django_tasktree.states import Hold
from tests.sample.storm_tasks import storm

_OF_RUNS = ["pause", "resume", "resume", "revoke", "retry"]
_OF_NODES = ["pause", "resume", "complete", "retry", "rerun", "revoke", "add", "add"]


class RandomActions:
    """A user who acts on runs at random.

    Attributes:
        done: how often each action was carried out.
    """

    def __init__(self, choose):
        self.choose = choose
        self.done = Counter()

    def act(self, run_id):
        """Do a random action on a run or on one of its nodes."""
        nodes = list(NodeRun.objects.filter(run_id=run_id).values_list("id", flat=True))
        if self.choose.random() < 0.3:
            self._do(self.choose.choice(_OF_RUNS), TreeResult(run_id), "runs")
        elif nodes:
            self._do(self.choose.choice(_OF_NODES), NodeResult(self.choose.choice(nodes)), "nodes")

    def release(self, run_id):
        """Resume the run and every node with a hold, so that the run can end."""
        self._do("resume", TreeResult(run_id), None)
        for key in NodeRun.objects.filter(run_id=run_id).exclude(hold=Hold.NONE).values_list("id", flat=True):
            self._do("resume", NodeResult(key), None)

    def _do(self, action, handle, counted):
        try:
            if action == "add":
                handle.add_task(storm, kwargs={"label": "added", "kind": "succeeds", "seconds": 0}, run_when="always")
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
