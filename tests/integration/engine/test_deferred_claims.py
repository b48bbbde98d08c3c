"""A message whose node may not start makes the node wait, or revokes it."""

import pytest

from django_tasktree import TaskTree
from django_tasktree.dispatch.after_commit import process_deferred
from django_tasktree.engine.lifecycle.claim import claim, defer_claim
from django_tasktree.engine.lifecycle.finish import finish
from django_tasktree.engine.lifecycle.settle import finished_but_unsettled
from django_tasktree.models import NodeRun, TreeRun
from django_tasktree.states import Hold
from tests.integration.engine.trees import SUCCESS, insert_run, other_token, ref
from tests.sample.tasks import echo


def queued_node(run_state="STARTED", hold=Hold.NONE, **options):
    """Insert a run with a queued node; return the reference that its message has, after a change of the run."""
    tree = TaskTree()
    node = tree.add_task(echo, **options)
    launched, keys = insert_run(tree)
    message = ref(keys[node])
    TreeRun.objects.filter(id=launched.run_id).update(state=run_state)
    NodeRun.objects.filter(id=keys[node]).update(hold=hold)
    return message


def row_of(message):
    """Return the row of the message's node."""
    return NodeRun.objects.get(id=message.id)


@pytest.mark.parametrize("allowed", [False, True])
@pytest.mark.parametrize(
    ("run_state", "hold"), [("REVOKED", Hold.NONE), ("FAILURE", Hold.NONE), ("STARTED", Hold.REVOKED)]
)
def test_a_node_that_was_revoked_meanwhile_ends(database, run_state, hold, allowed):
    message = queued_node(run_state, hold, allow_failure=allowed)
    assert not claim(message, "w")
    assert not defer_claim(message).again
    row = row_of(message)
    assert (row.state, row.hold, row.settled) == ("REVOKED", Hold.REVOKED, True)
    assert row.finished_at is not None
    assert row.subtree_failed is not allowed


@pytest.mark.parametrize(("run_state", "hold"), [("PAUSED", Hold.NONE), ("STARTED", Hold.PAUSED)])
def test_a_node_that_was_paused_meanwhile_waits(database, run_state, hold):
    message = queued_node(run_state, hold)
    assert not claim(message, "w")
    deferred = defer_claim(message)
    assert (deferred.again, list(deferred.dispatches)) == (False, [])
    row = row_of(message)
    assert (row.state, row.runnable, row.hold, row.settled) == ("PENDING", True, hold, False)


@pytest.mark.parametrize("run_state", ["REVOKED", "PAUSED"])
def test_a_message_of_an_earlier_attempt_changes_nothing(database, run_state):
    message = queued_node(run_state)
    NodeRun.objects.filter(id=message.id).update(task_id=other_token())
    assert not defer_claim(message).again
    assert row_of(message).state == "QUEUED"


def test_a_node_that_may_start_by_now_is_claimed_again(database):
    message = queued_node()
    assert defer_claim(message).again
    assert claim(message, "w")
    assert not defer_claim(message).again


def test_finished_but_unsettled_nodes_of_one_run(database):
    def half_settled():
        tree = TaskTree()
        unsettled, settled = tree.add_task(echo), tree.add_task(echo)
        tree.add_task(echo)
        launched, keys = insert_run(tree)
        for node in (unsettled, settled):
            message = ref(keys[node])
            assert claim(message, "w")
            finish(message, SUCCESS)
        NodeRun.objects.filter(id=keys[unsettled]).update(settled=False)
        return launched.run_id, keys[unsettled]

    run_id, unsettled = half_settled()
    half_settled()
    assert finished_but_unsettled(run_id) == [unsettled]


def test_a_node_is_queued_again_if_its_run_is_resumed_meanwhile(database):
    message = queued_node("PAUSED")
    deferred = defer_claim(message)
    TreeRun.objects.filter(id=message.run_id).update(state="STARTED")
    assert [dispatch.id for dispatch in deferred.dispatches] == [message.id]
    assert row_of(message).state == "QUEUED"


def test_what_is_below_a_node_that_was_revoked_meanwhile_ends_too(database):
    tree = TaskTree()
    top = tree.add_task(echo)
    below = top.add_task(echo).add_task(echo)
    launched, keys = insert_run(tree)
    TreeRun.objects.filter(id=launched.run_id).update(state="REVOKED")
    assert defer_claim(ref(keys[top])).revoked
    row = NodeRun.objects.get(id=keys[below])
    assert (row.state, row.hold, row.settled) == ("REVOKED", Hold.REVOKED, True)


def test_the_parent_of_a_node_that_was_revoked_meanwhile_settles(database):
    tree = TaskTree()
    top = tree.add_task(echo)
    child = top.add_task(echo)
    launched, keys = insert_run(tree)
    claim(ref(keys[top]), "w")
    finish(ref(keys[top]), SUCCESS)
    NodeRun.objects.filter(id=keys[child]).update(hold=Hold.REVOKED)
    message = ref(keys[child])
    process_deferred(message, defer_claim(message))
    assert TreeRun.objects.get(id=launched.run_id).state == "FAILURE"
