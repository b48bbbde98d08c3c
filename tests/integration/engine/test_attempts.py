"""claim, finish, retry: duplicate and late messages are ignored."""

import pytest

from django_tasktree.encoding.node_error import NodeError
from django_tasktree.engine.lifecycle.attempts import LOST, losses, requeue, retry
from django_tasktree.engine.lifecycle.claim import claim
from django_tasktree.engine.lifecycle.finish import finish
from django_tasktree.engine.lifecycle.settle import settle
from django_tasktree.engine.types import Outcome
from django_tasktree.exceptions import StaleAttempt
from django_tasktree.models import NodeAttempt, NodeRun, TreeRun
from django_tasktree.states import NodeState
from tests.integration.engine.trees import FAILURE, SUCCESS, insert_run, other_token, ref, state, tree_of

ERROR = NodeError("builtins.ValueError", "no", "", "Traceback …")


@pytest.fixture
def root(database):
    """Return the ID of the root node of a run of two nodes."""
    launched, _ = insert_run(tree_of([[]]))
    return launched.dispatches[0].id


def test_a_duplicate_message_is_ignored(root):
    message = ref(root)
    assert claim(message, "w1")
    assert not claim(message, "w2")
    row = NodeRun.objects.get(id=root)
    assert (row.worker, row.attempts, row.state) == ("w1", 1, "STARTED")


def test_a_message_with_another_token_is_ignored(root):
    assert not claim(ref(root, task_id=other_token()), "w1")
    assert state(root) == NodeState.QUEUED


def test_a_late_message_of_an_old_attempt_is_ignored(root):
    old = ref(root)
    claim(old, "w1")
    retry(old, ERROR, None)
    assert not claim(old, "w2")
    with pytest.raises(StaleAttempt):
        finish(old, SUCCESS)
    assert state(root) == NodeState.RETRY
    assert claim(ref(root), "w2")


def test_a_lost_attempt_cannot_finish(root):
    old = ref(root)
    claim(old, "w1")
    dispatch = requeue(old, LOST, ERROR)
    assert dispatch.task_id != old.task_id
    claim(ref(root), "w2")
    with pytest.raises(StaleAttempt):
        finish(old, SUCCESS)
    row = NodeRun.objects.get(id=root)
    assert (row.state, row.worker, row.result) == ("STARTED", "w2", None)
    assert losses(ref(root)) == 1


def test_finishing_twice_is_refused(root):
    message = ref(root)
    claim(message, "w1")
    list(finish(message, SUCCESS).dispatches)
    with pytest.raises(StaleAttempt):
        finish(message, FAILURE)
    assert state(root) == NodeState.SUCCESS


def test_a_fenced_finish_inserts_no_children(root):
    old = ref(root)
    claim(old, "w1")
    retry(old, ERROR, None)
    from django_tasktree.builder.plan import plan_nodes
    from django_tasktree.engine.types import Placement

    added = tuple(plan_nodes(tree_of([], []), Placement(old.run_id, old.id)))
    with pytest.raises(StaleAttempt):
        finish(old, Outcome(NodeState.SUCCESS, result="1", added=added))
    assert NodeRun.objects.count() == 2


def test_earlier_attempts_are_kept(root):
    for number in (1, 2):
        message = ref(root)
        claim(message, f"w{number}")
        retry(message, ERROR, None)
    log = NodeAttempt.objects.filter(node_id=root).order_by("number")
    assert [(a.number, a.worker, a.outcome, a.error_message) for a in log] == [
        (1, "w1", "RETRY", "no"),
        (2, "w2", "RETRY", "no"),
    ]


def test_a_failure_skips_children_that_wait_for_success(root):
    message = ref(root)
    claim(message, "w1")
    assert list(finish(message, FAILURE).dispatches) == []
    child = NodeRun.objects.get(parent_id=root)
    assert (child.state, child.settled) == (NodeState.SKIPPED, True)
    assert settle(message.run_id, message.id).ended == "FAILURE"
    assert TreeRun.objects.get(id=message.run_id).state == "FAILURE"


def test_settling_twice_ends_the_run_once(root):
    message = ref(root)
    claim(message, "w1")
    (child,) = finish(message, SUCCESS).dispatches
    child_ref = ref(child.id)
    claim(child_ref, "w1")
    list(finish(child_ref, SUCCESS).dispatches)
    assert settle(message.run_id, root).ended == "SUCCESS"
    assert settle(message.run_id, root).ended is None
