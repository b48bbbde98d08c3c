"""A minimal worker: it claims queued nodes and writes the outcomes that a test specifies."""

from django.db import transaction

from django_tasktree.dispatch.after_commit import finish_and_propagate
from django_tasktree.engine.control.change import begin
from django_tasktree.engine.control.reset import lock_run
from django_tasktree.engine.lifecycle.claim import claim
from django_tasktree.engine.transitions import write_alias
from django_tasktree.engine.types import Outcome
from django_tasktree.models import NodeRun
from django_tasktree.models.history_entry import Action
from django_tasktree.states import CLAIMABLE, NodeState
from tests.integration.engine.trees import ref

OUTCOMES = {
    "success": Outcome(NodeState.SUCCESS, result="1"),
    "failure": Outcome(NodeState.FAILURE),
    "stop": Outcome(NodeState.SUCCESS, result="1", skip_children=True),
}


def label(node):
    """Return the name of a node in the tests: its first argument."""
    return node.args.strip('[]"')


def queued(run_id):
    """Return the names of the queued nodes."""
    rows = NodeRun.objects.filter(run_id=run_id, state=NodeState.QUEUED).order_by("id")
    return [label(row) for row in rows]


def take(run_id, name):
    """Claim a queued node and return its attempt."""
    rows = NodeRun.objects.filter(run_id=run_id, state__in=CLAIMABLE).order_by("id")
    row = next(row for row in rows if label(row) == name)
    message = ref(row.id)
    assert claim(message, "w"), f"{name} can't be claimed"
    return message


def end(message, outcome="success"):
    """Finish an attempt."""
    finish_and_propagate(message, OUTCOMES[outcome])


def play(run_id, **outcomes):
    """Run all nodes as they are queued, with success unless an outcome is given; return their names in order."""
    played = []
    while names := queued(run_id):
        messages = [(name, take(run_id, name)) for name in names]
        for name, message in messages:
            end(message, outcomes.get(name, "success"))
            played.append(name)
    return played


def states(run_id):
    """Return the states of a run's nodes by name."""
    return {label(row): str(row.state) for row in NodeRun.objects.filter(run_id=run_id)}


def changing(run, node=None, action=Action.PAUSE):
    """Begin an action on a run, or on a node with its subtree, that is carried out in batches."""
    with transaction.atomic(using=write_alias()):
        return begin(lock_run(run.id), action, None, None if node is None else node.id)
