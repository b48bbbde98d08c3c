"""pause and resume of a run and of a subtree, in every order with the steps of workers."""

import pytest

from django_tasktree import TaskTree
from django_tasktree.dispatch.after_commit import publish_after_commit
from django_tasktree.engine.lifecycle.claim import claim, defer_claim
from django_tasktree.engine.lifecycle.finish import finish
from django_tasktree.exceptions import NotPossible
from django_tasktree.models import NodeRun, TreeRun
from tests.integration.control.play import end, play, queued, states, take
from tests.integration.engine.trees import SUCCESS, ref
from tests.interleaving import before_statement
from tests.sample.tasks import echo

pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture
def result():
    """Return a run of two chains and a gather node."""
    tree = TaskTree()
    for name in ("a", "b"):
        node = tree.add_task(echo, [name])
        node.add_task(echo, [name + "1"]).add_task(echo, [name + "11"])
    tree.gather(echo, ["g"])
    return tree.apply_async()


def _deliver(run_id, name):
    """Deliver a message whose claim is refused: the worker puts the node back."""
    row = next(row for row in NodeRun.objects.filter(run_id=run_id) if f'"{name}"' in row.args)
    message = ref(row.id)
    assert not claim(message, "w")
    publish_after_commit(run_id, defer_claim(message).dispatches)


def test_a_run_that_is_paused_just_before_its_end_ends_nevertheless():
    """Otherwise it would remain open until the next sweep, and so would a node that waits for it."""
    tree = TaskTree()
    tree.add_task(echo, ["last"])
    run = tree.apply_async()
    last = take(run.id, "last")
    with before_statement("UPDATE django_tasktree_treerun SET state", run.pause):
        end(last)
    assert run.state == "SUCCESS"


def test_a_paused_run_starts_nothing_and_running_nodes_may_finish(result):
    a = take(result.id, "a")
    effect = result.pause(by="test")
    assert effect.running == 1
    end(a)
    assert states(result.id)["a"] == "SUCCESS"
    _deliver(result.id, "b")
    assert queued(result.id) == []
    assert result.state == "PAUSED"
    result.resume()
    assert sorted(queued(result.id)) == ["a1", "b"]
    assert sorted(play(result.id)) == ["a1", "a11", "b", "b1", "b11", "g"]
    assert result.state == "SUCCESS"


def test_a_queued_node_with_an_undelivered_message_continues_after_a_resume(result):
    result.pause()
    result.resume()
    assert queued(result.id) == ["a", "b"]
    play(result.id)
    assert result.state == "SUCCESS"


def test_a_paused_run_ends_when_its_last_node_finishes(result):
    for name in ("a", "b", "a1", "b1", "a11", "b11"):
        end(take(result.id, name))
    last = take(result.id, "g")
    result.pause()
    end(last)
    assert result.state == "SUCCESS"


def test_a_gather_node_waits_for_the_resume(result):
    for name in ("a", "b", "a1", "b1", "a11"):
        end(take(result.id, name))
    last = take(result.id, "b11")
    result.pause()
    end(last)
    assert states(result.id)["g"] == "PENDING"
    assert result.state == "PAUSED"
    result.resume()
    assert play(result.id) == ["g"]
    assert result.state == "SUCCESS"


def test_a_paused_subtree_does_not_hold_other_nodes(result):
    node = result.children[0]
    effect = node.pause(by="test")
    assert effect.held == 3
    _deliver(result.id, "a")
    assert play(result.id) == ["b", "b1", "b11"]
    assert result.state == "STARTED"
    assert states(result.id)["a"] == "PENDING"
    node.resume()
    assert play(result.id) == ["a", "a1", "a11", "g"]
    assert result.state == "SUCCESS"


def test_a_subtree_can_be_paused_while_its_top_node_runs(result):
    a = take(result.id, "a")
    result.children[0].pause()
    end(a)
    assert play(result.id) == ["b", "b1", "b11"]
    result.children[0].resume()
    assert play(result.id) == ["a1", "a11", "g"]


def test_nodes_that_a_task_function_adds_to_a_paused_subtree_are_held(result):
    from django_tasktree.builder.nodes import NodeParent
    from django_tasktree.builder.plan import plan_nodes
    from django_tasktree.dispatch.after_commit import finish_and_propagate
    from django_tasktree.engine.types import Outcome, Placement
    from django_tasktree.states import NodeState

    a = take(result.id, "a")
    result.children[0].pause()
    added_at_runtime = NodeParent()
    added_at_runtime.add_task(echo, ["new"])
    added = tuple(plan_nodes(added_at_runtime, Placement(a.run_id, a.id, a.child_count)))
    finish_and_propagate(a, Outcome(NodeState.SUCCESS, result="1", added=added))
    assert queued(result.id) == ["b"]
    result.children[0].resume()
    assert sorted(queued(result.id)) == ["a1", "b", "new"]


def test_a_pause_before_finish(result):
    """finish sees the pause and queues no child."""
    a = take(result.id, "a")
    result.pause()
    released = finish(a, SUCCESS)
    assert list(released.dispatches) == []
    assert released.runnable


def test_a_pause_after_finish(result):
    """The children are queued already; their claims are refused, and they are put back."""
    end(take(result.id, "a"))
    result.pause()
    _deliver(result.id, "a1")
    assert "a1" not in queued(result.id)
    result.resume()
    assert "a1" in queued(result.id)


def test_a_resume_before_a_refused_claim_is_deferred(result):
    """The claim was refused, then the run is resumed: the worker has the message, so it claims again."""
    result.pause()
    row = NodeRun.objects.get(run_id=result.id, args='["a"]')
    message = ref(row.id)
    assert not claim(message, "w")
    result.resume()
    assert defer_claim(message).again
    assert claim(message, "w")


def test_a_resume_after_a_refused_claim_was_deferred(result):
    result.pause()
    _deliver(result.id, "a")
    assert states(result.id)["a"] == "PENDING"
    result.resume()
    assert states(result.id)["a"] == "QUEUED"


def test_a_duplicate_message_is_not_claimed_again(result):
    message = take(result.id, "a")
    assert not claim(message, "w")
    assert not defer_claim(message).again


def test_pause_and_resume_are_refused_in_other_states(result):
    with pytest.raises(NotPossible, match="only a paused run"):
        result.resume()
    result.pause()
    with pytest.raises(NotPossible, match="PAUSED: only a started run"):
        result.pause()
    result.resume()
    play(result.id)
    with pytest.raises(NotPossible, match="SUCCESS: only a started run"):
        result.pause()


def test_a_preview_changes_nothing(result):
    take(result.id, "a")
    assert result.preview("pause").running == 1
    assert result.children[1].preview("pause").held == 3
    assert result.state == "STARTED"
    assert result.history == []
    assert queued(result.id) == ["b"]
    assert not NodeRun.objects.filter(run_id=result.id, hold="paused").exists()


def test_the_history_records_actions_and_users(result, django_user_model):
    user = django_user_model.objects.create(username="kim")
    result.pause(by=user)
    result.resume(by="manage.py")
    result.children[0].pause()
    entries = [(entry.action, entry.user, entry.actor, entry.node_id, entry.nodes) for entry in result.history]
    first = result.children[0].id
    assert entries == [
        ("pause", user, "kim", None, 0),
        ("resume", None, "manage.py", None, 0),
        ("pause", None, "", first, 3),
    ]


def test_a_retry_that_is_due_during_a_pause_keeps_its_count_and_its_eta(result):
    from datetime import datetime, timedelta

    from celery.signals import before_task_publish
    from django.utils import timezone

    from django_tasktree.dispatch.publisher import publish
    from django_tasktree.encoding.node_error import NodeError
    from django_tasktree.engine.lifecycle.advance import advance
    from django_tasktree.engine.lifecycle.attempts import retry

    due = timezone.now() + timedelta(minutes=5)
    message = take(result.id, "a")
    retry(message, NodeError("E", "x"), due)
    result.pause()
    _deliver(result.id, "a")
    row = NodeRun.objects.get(id=message.id)
    assert (row.state, row.runnable, row.retries, row.eta) == ("PENDING", True, 1, due)
    NodeRun.objects.filter(run_id=result.id).exclude(id=message.id).update(runnable=False)
    TreeRun.objects.filter(id=result.id).update(state="STARTED")
    published = []

    def receiver(headers, **_):
        published.append((headers["retries"], datetime.fromisoformat(headers["eta"]), headers["id"]))

    before_task_publish.connect(receiver)
    try:
        publish(advance(result.id))
    finally:
        before_task_publish.disconnect(receiver)
    assert published == [(1, due, str(row.task_id))]
