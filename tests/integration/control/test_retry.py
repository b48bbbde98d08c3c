"""retry, rerun and complete: failed nodes run again, succeeded nodes keep their results."""

from datetime import timedelta

import pytest

from django_tasktree import NodeResult, TaskTree
from django_tasktree.control import operations
from django_tasktree.engine.lifecycle.claim import claim
from django_tasktree.engine.lifecycle.finish import finish
from django_tasktree.exceptions import NotPossible, StaleAttempt
from django_tasktree.models import NodeAttempt, NodeRun, TreeRun
from tests.integration.control.play import end, play, queued, states, take
from tests.integration.engine.trees import SUCCESS
from tests.sample.tasks import echo

pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture
def result():
    """Return a run of two subtrees, each with a failure handler and gather nodes."""
    tree = TaskTree()
    for name in ("a", "b"):
        node = tree.add_task(echo, [name])
        first = node.add_task(echo, [name + "1"])
        first.add_task(echo, [name + "11"])
        first.add_task(echo, [name + "alert"], run_when="failure")
        node.gather(echo, [name + "g"])
    tree.gather(echo, ["g"]).add_task(echo, ["end"])
    return tree.apply_async()


def test_only_failed_nodes_and_nodes_that_they_held_back_run_again(result):
    play(result.id, a1="failure")
    assert result.state == "FAILURE"
    before = states(result.id)
    assert (before["a11"], before["aalert"], before["ag"], before["g"]) == ("SKIPPED", "SUCCESS", "SKIPPED", "SKIPPED")
    effect = result.preview("retry")
    assert (effect.again, effect.stays) == (4, 6)
    assert result.retry(by="test") == effect
    assert result.state == "STARTED"
    assert queued(result.id) == ["a1"]
    assert play(result.id) == ["a1", "a11", "ag", "g", "end"]
    assert result.state == "SUCCESS"
    assert NodeAttempt.objects.filter(node__args='["a1"]').values_list("number", "outcome").get() == (1, "FAILURE")
    assert NodeRun.objects.get(args='["a1"]').attempts == 2


def test_a_node_that_fails_again_can_be_retried_again(result):
    play(result.id, a1="failure")
    result.retry()
    play(result.id, a1="failure")
    assert result.state == "FAILURE"
    result.retry()
    play(result.id)
    assert result.state == "SUCCESS"


def test_a_retry_of_an_open_run(result):
    end(take(result.id, "a"))
    end(take(result.id, "a1"), "failure")
    end(take(result.id, "aalert"))
    assert states(result.id)["ag"] == "SKIPPED"
    result.retry()
    play(result.id)
    assert result.state == "SUCCESS"


def test_a_retry_of_one_subtree(result):
    play(result.id, a1="failure", b1="failure")
    result.children[0].retry()
    assert play(result.id) == ["a1", "a11", "ag"]
    assert result.state == "FAILURE"
    result.children[1].retry()
    play(result.id)
    assert result.state == "SUCCESS"


def test_a_second_retry_has_nothing_to_do(result):
    play(result.id, a1="failure")
    result.retry()
    with pytest.raises(NotPossible, match=r"nothing in run .* has failed"):
        result.retry()
    assert queued(result.id) == ["a1"]


def test_a_late_message_of_the_failed_attempt_is_ignored(result):
    end(take(result.id, "a"))
    late = take(result.id, "a1")
    end(late, "failure")
    result.retry()
    assert not claim(late, "w")
    with pytest.raises(StaleAttempt):
        finish(late, SUCCESS)
    assert queued(result.id) == ["b", "a1"]


def test_a_failure_handler_that_has_not_started_waits_again(result):
    end(take(result.id, "a"))
    end(take(result.id, "a1"), "failure")
    assert "aalert" in queued(result.id)
    result.retry()
    assert states(result.id)["aalert"] == "PENDING"
    play(result.id)
    assert states(result.id)["aalert"] == "SKIPPED"


def test_a_failure_handler_that_has_started_is_left_alone(result):
    end(take(result.id, "a"))
    end(take(result.id, "a1"), "failure")
    handler = take(result.id, "aalert")
    result.retry()
    play(result.id)
    assert result.state == "STARTED"
    end(handler)
    play(result.id)
    assert states(result.id)["aalert"] == "SUCCESS"
    assert result.state == "SUCCESS"


def test_a_revoked_run_continues_after_a_retry(result):
    end(take(result.id, "a"))
    result.revoke()
    result.retry()
    assert result.state == "STARTED"
    assert sorted(play(result.id)) == ["a1", "a11", "ag", "b", "b1", "b11", "bg", "end", "g"]
    assert result.state == "SUCCESS"


def test_a_revoked_subtree_continues_after_a_retry(result):
    end(take(result.id, "a"))
    node = result.children[0]
    node.revoke()
    play(result.id)
    assert result.state == "FAILURE"
    node.retry()
    play(result.id)
    assert result.state == "SUCCESS"
    assert not NodeRun.objects.exclude(hold="").exists()


def test_a_node_below_a_failed_one_cannot_be_retried_alone(result):
    result.revoke()
    with pytest.raises(NotPossible, match=r"the node above it failed as well: retry"):
        result.children[0].children[0].retry()
    assert result.state == "REVOKED"


def test_a_rerun_of_a_node_that_succeeded(result):
    play(result.id)
    node = result.children[0].children[0]
    effect = result.preview("retry", from_node=node)
    assert (effect.again, effect.removed) == (6, 0)
    result.retry(from_node=node, by="test")
    assert play(result.id) == ["a1", "a11", "ag", "g", "end"]
    assert result.state == "SUCCESS"
    assert result.history[-1].action == "rerun"
    assert NodeRun.objects.get(args='["b1"]').attempts == 1


def test_a_rerun_of_a_gather_node(result):
    play(result.id)
    result.children[0].children[1].rerun()
    assert play(result.id) == ["ag", "g", "end"]


def test_a_rerun_removes_nodes_that_task_functions_added(database):
    from django_tasktree.builder.nodes import NodeParent
    from django_tasktree.builder.plan import plan_nodes
    from django_tasktree.dispatch.after_commit import finish_and_propagate
    from django_tasktree.engine.types import Outcome, Placement
    from django_tasktree.states import NodeState

    tree = TaskTree()
    tree.add_task(echo, ["a"]).add_task(echo, ["fixed"])
    result = tree.apply_async()

    def grow():
        message = take(result.id, "a")
        added_at_runtime = NodeParent()
        added_at_runtime.add_task(echo, ["new"]).add_task(echo, ["newer"])
        specs = tuple(plan_nodes(added_at_runtime, Placement(message.run_id, message.id, message.child_count)))
        finish_and_propagate(message, Outcome(NodeState.SUCCESS, result="1", added=specs))

    grow()
    play(result.id)
    assert len(states(result.id)) == 4
    effect = result.children[0].rerun()
    assert (effect.again, effect.removed) == (2, 2)
    assert sorted(states(result.id)) == ["a", "fixed"]
    assert NodeRun.objects.get(args='["a"]').child_count == 1
    grow()
    assert sorted(play(result.id)) == ["fixed", "new", "newer"]
    assert result.state == "SUCCESS"


def test_a_running_node_cannot_be_rerun(result):
    end(take(result.id, "a"))
    take(result.id, "a1")
    with pytest.raises(NotPossible, match="would run twice"):
        result.children[0].rerun()
    with pytest.raises(NotPossible, match="only a node that has run"):
        result.children[0].children[0].rerun()


def test_a_completed_node_counts_as_a_success(result):
    play(result.id, a1="failure")
    node = result.children[0].children[0]
    node.complete({"rows": 3}, by="test")
    assert node.get() == {"rows": 3}
    assert play(result.id) == ["a11", "ag", "g", "end"]
    assert result.state == "SUCCESS"
    assert NodeRun.objects.get(id=node.id).attempts == 1


def test_the_message_of_a_completed_node_is_out_of_date(result):
    from tests.integration.engine.trees import ref

    message = ref(result.children[0].id)
    result.children[0].complete()
    assert not claim(message, "w")
    assert sorted(play(result.id)) == ["a1", "a11", "ag", "b", "b1", "b11", "bg", "end", "g"]
    assert result.state == "SUCCESS"


@pytest.mark.parametrize(
    ("name", "reason"),
    [("a", "its task is running"), ("a1", "has not been reached yet"), ("b", "can't be completed again")],
)
def test_nodes_that_cannot_be_completed(result, name, reason):
    end(take(result.id, "b"))
    take(result.id, "a")
    from django_tasktree import NodeResult

    with pytest.raises(NotPossible, match=reason):
        NodeResult(NodeRun.objects.get(args=f'["{name}"]').id).complete()


def test_a_result_that_cannot_be_stored_changes_nothing(result):
    play(result.id, a1="failure")
    with pytest.raises(ValueError, match="can't be written as JSON"):
        result.children[0].children[0].complete(object())
    assert result.state == "FAILURE"


def test_the_time_between_an_end_and_a_retry_is_no_duration(result):
    play(result.id, a1="failure")
    run = result.run
    took = run.duration
    # The run ended three days ago.
    days = timedelta(days=3)
    TreeRun.objects.update(started_at=run.started_at - days, finished_at=run.finished_at - days)
    assert result.run.duration == took
    result.retry()
    assert took <= result.run.duration < took + timedelta(minutes=10)
    play(result.id, a1="failure")
    again = result.run
    assert again.idle >= days
    assert again.duration == again.finished_at - again.started_at - again.idle < timedelta(minutes=10)
    # A second retry: the idle times add up.
    TreeRun.objects.update(
        finished_at=again.finished_at - timedelta(hours=1), started_at=again.started_at - timedelta(hours=1)
    )
    result.retry()
    assert result.run.idle >= days + timedelta(hours=1)
    assert result.run.duration < timedelta(minutes=10)


def test_a_slow_clock_causes_no_negative_idle_time(result):
    play(result.id, a1="failure")
    TreeRun.objects.update(finished_at=result.run.finished_at + timedelta(hours=1))
    result.retry()
    assert result.run.idle == timedelta()


def test_nodes_that_a_concurrent_retry_has_run_keep_their_outcome(result, monkeypatch):
    """Another retry is carried out after this one has looked for failed nodes, and before it locks the run."""
    play(result.id, a1="failure", b1="failure")
    original = operations.find_failed  # type: ignore[attr-defined]

    def find_then_retry_elsewhere(run_id, node_id):
        found = original(run_id, node_id)
        if node_id is None:
            node = NodeRun.objects.get(run_id=run_id, args='["a1"]')
            NodeResult(node.id).retry()
            end(take(run_id, "a1"))
        return found

    monkeypatch.setattr(operations, "find_failed", find_then_retry_elsewhere)
    assert queued(result.id) == []
    result.retry()
    assert (states(result.id)["a1"], states(result.id)["a11"]) == ("SUCCESS", "QUEUED")
    assert sorted(queued(result.id)) == ["a11", "b1"]
    play(result.id)
    assert result.state == "SUCCESS"
