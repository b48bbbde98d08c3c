"""revoke: nodes that have not started never start."""

import pytest

from django_tasktree import TaskTree
from django_tasktree.builder.nodes import NodeParent
from django_tasktree.builder.plan import plan_nodes
from django_tasktree.dispatch.after_commit import finish_and_propagate
from django_tasktree.engine.lifecycle.claim import claim, defer_claim
from django_tasktree.engine.types import Outcome, Placement
from django_tasktree.exceptions import NodeNotRun, NotPossible
from django_tasktree.models import NodeRun
from django_tasktree.signals import run_finished
from django_tasktree.states import NodeState
from tests.integration.control.play import end, play, states, take
from tests.integration.engine.trees import ref
from tests.sample.tasks import echo

pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture
def result():
    """Return a run of two subtrees with gather nodes that always run."""
    tree = TaskTree()
    for name in ("a", "b"):
        node = tree.add_task(echo, [name])
        node.add_task(echo, [name + "1"]).add_task(echo, [name + "11"])
        node.add_task(echo, [name + "2"])
        node.gather(echo, [name + "g"], run_when="always")
    tree.gather(echo, ["g"], run_when="always")
    return tree.apply_async()


def test_a_revoked_run_ends_at_once(result):
    ended = []

    def receiver(run_id, state=None, **_):
        ended.append(state)

    run_finished.connect(receiver)
    a = take(result.id, "a")
    effect = result.revoke(by="test")
    run_finished.disconnect(receiver)
    assert (effect.running, effect.revoked) == (1, 10)
    assert ended == ["REVOKED"]
    assert result.state == result.wait(1) == "REVOKED"
    end(a)
    assert states(result.id)["a"] == "SUCCESS"
    assert set(states(result.id).values()) == {"SUCCESS", "REVOKED"}
    assert play(result.id) == []
    assert result.state == "REVOKED"
    with pytest.raises(NodeNotRun):
        result.children[1].get(1)


def test_a_node_that_was_revoked_before_its_claim_does_not_start(result):
    message = ref(result.children[0].id)
    result.revoke()
    assert not claim(message, "w")
    assert not defer_claim(message).again
    assert states(result.id)["a"] == "REVOKED"


def test_a_node_that_was_claimed_before_the_revoke_may_finish(result):
    message = take(result.id, "a")
    result.revoke()
    assert states(result.id)["a"] == "STARTED"
    end(message)
    assert states(result.id)["a"] == "SUCCESS"


def test_a_node_that_was_queued_after_a_revoke_is_revoked_when_its_message_arrives(result):
    """finish has read the run before the revoke was committed, and has queued the children after that."""
    end(take(result.id, "a"))
    message = ref(NodeRun.objects.get(args='["a1"]').id)
    result.revoke()
    NodeRun.objects.filter(id=message.id).update(state="QUEUED", settled=False)
    assert not claim(message, "w")
    assert not defer_claim(message).again
    assert states(result.id)["a1"] == "REVOKED"


def test_a_revoked_subtree_does_not_affect_other_nodes(result):
    end(take(result.id, "a"))
    running = take(result.id, "a2")
    effect = result.children[0].revoke()
    assert (effect.revoked, effect.running) == (3, 1)
    assert play(result.id) == ["b", "b1", "b2", "b11", "bg"]
    end(running)
    assert states(result.id)["ag"] == "REVOKED"
    assert play(result.id) == ["g"]
    assert result.state == "FAILURE"


def test_a_revoked_subtree_without_running_nodes_settles_at_once(result):
    end(take(result.id, "a"))
    result.children[0].revoke()
    assert NodeRun.objects.get(args='["a"]').settled
    play(result.id)
    assert states(result.id)["g"] == "SUCCESS"
    assert result.state == "FAILURE"


def test_nodes_that_a_task_function_adds_to_a_revoked_subtree_are_revoked(result):
    a = take(result.id, "a")
    result.children[0].revoke()
    added_at_runtime = NodeParent()
    added_at_runtime.add_task(echo, ["new"]).add_task(echo, ["below"])
    added = tuple(plan_nodes(added_at_runtime, Placement(a.run_id, a.id, a.child_count)))
    finish_and_propagate(a, Outcome(NodeState.SUCCESS, result="1", added=added))
    assert {states(result.id)[name] for name in ("a1", "new", "below", "ag")} == {"REVOKED"}
    play(result.id)
    assert result.state == "FAILURE"


def test_a_run_is_revoked_once(result):
    result.revoke()
    with pytest.raises(NotPossible, match="has ended already: its state is REVOKED"):
        result.revoke()


def test_a_preview_of_a_revoke(result):
    end(take(result.id, "a"))
    take(result.id, "a1")
    effect = result.preview("revoke")
    assert (effect.revoked, effect.running) == (9, 1)
    assert result.state == "STARTED"
    assert result.children[0].preview("revoke").revoked == 3
    assert not NodeRun.objects.filter(state="REVOKED").exists()


def test_terminate_revokes_the_running_tasks_in_celery(result, app, monkeypatch):
    revocations = []
    monkeypatch.setattr(app.control, "revoke", lambda ids, **options: revocations.append((ids, options)))
    message = take(result.id, "a")
    result.revoke(terminate=True)
    assert revocations == [([str(message.task_id)], {"terminate": True})]
