"""A worker in a few lines: it claims what is queued and writes the outcomes that a test asks for."""

from django_tasktree.engine.claim import claim
from django_tasktree.engine.specs import Outcome
from django_tasktree.models import NodeRun
from django_tasktree.states import CLAIMABLE, NodeState
from django_tasktree.worker.follow import conclude
from tests.integration.engine.trees import ref

OUTCOMES = {
    "success": Outcome(NodeState.SUCCESS, result="1"),
    "failure": Outcome(NodeState.FAILURE),
    "stop": Outcome(NodeState.SUCCESS, result="1", stop=True),
}


def label(node):
    """What the test calls a node: its first argument."""
    return node.args.strip('[]"')


def queued(run_id):
    rows = NodeRun.objects.filter(run_id=run_id, state=NodeState.QUEUED).order_by("id")
    return [label(row) for row in rows]


def take(run_id, name):
    """Claim a queued node; gives the attempt."""
    rows = NodeRun.objects.filter(run_id=run_id, state__in=CLAIMABLE).order_by("id")
    row = next(row for row in rows if label(row) == name)
    message = ref(row.id)
    assert claim(message, "w"), f"{name} can't be claimed"
    return message


def end(message, outcome="success"):
    conclude(message, OUTCOMES[outcome])


def play(run_id, **outcomes):
    """Run everything that gets queued; all succeeds but what is named. Gives the labels in the order of the claims."""
    played = []
    while names := queued(run_id):
        messages = [(name, take(run_id, name)) for name in names]
        for name, message in messages:
            end(message, outcomes.get(name, "success"))
            played.append(name)
    return played


def states(run_id):
    return {label(row): str(row.state) for row in NodeRun.objects.filter(run_id=run_id)}
