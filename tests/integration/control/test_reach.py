"""Actions on nodes that were not reached, and on nodes near them: runs end, and no node starts before its parent."""

from datetime import timedelta

import pytest
from django.db.models import F

from django_tasktree import NodeResult, TaskTree
from django_tasktree.control import operations
from django_tasktree.encoding import times
from django_tasktree.encoding.node_error import NodeError
from django_tasktree.engine.lifecycle.attempts import LOST, losses, requeue
from django_tasktree.engine.lifecycle.claim import claim
from django_tasktree.exceptions import NotPossible
from django_tasktree.models import NodeRun, TreeRun
from django_tasktree.recovery.sweep import sweep
from tests.integration.control.play import end, play, queued, states, take
from tests.integration.engine.trees import ref
from tests.sample.tasks import echo

pytestmark = pytest.mark.usefixtures("database")


def node(name):
    """Return the handle of a node."""
    return NodeResult(NodeRun.objects.get(args=f'["{name}"]').id)


def run_with_a_skipped_handler(**options):
    """Return a run with a node that has succeeded, so that its failure handler was skipped."""
    tree = TaskTree(**options)
    handler = tree.add_task(echo, ["a"]).add_task(echo, ["handler"], run_when="failure")
    handler.add_task(echo, ["below"]).add_task(echo, ["deep"])
    handler.gather(echo, ["g"], run_when="always")
    tree.add_task(echo, ["b"]).add_task(echo, ["b1"])
    result = tree.apply_async()
    end(take(result.id, "a"))
    return result


def stop_by_failure(result):
    end(take(result.id, "b"), "failure")
    assert result.state == "FAILURE"


def stop_by_revoke(result):
    result.revoke()


def stop_by_deadline(result):
    TreeRun.objects.filter(id=result.id).update(deadline=times.now() - timedelta(days=1))
    assert operations.enforce_deadline(result.id)


@pytest.mark.parametrize(
    ("stop", "on_failure"),
    [(stop_by_failure, "stop"), (stop_by_revoke, "continue"), (stop_by_deadline, "continue")],
)
def test_a_stopped_run_with_a_skipped_node_ends_after_a_retry(stop, on_failure):
    result = run_with_a_skipped_handler(on_failure=on_failure)
    stop(result)
    result.retry()
    assert play(result.id) == ["b", "b1"]
    assert result.state == "SUCCESS"
    found = states(result.id)
    assert [found[name] for name in ("handler", "below", "deep", "g")] == ["SKIPPED", "PENDING", "PENDING", "PENDING"]


@pytest.mark.parametrize("action", ["retry", "complete", "rerun", "add_task"])
@pytest.mark.parametrize("name", ["handler", "below", "deep", "g"])
@pytest.mark.parametrize("stop", [None, "node", "run"])
def test_nothing_below_a_skipped_node_can_be_made_to_run(action, name, stop):
    result = run_with_a_skipped_handler()
    if stop == "node":
        node(name).revoke()
    elif stop == "run":
        result.revoke()
    else:
        play(result.id)
    state = result.state
    with pytest.raises(NotPossible):
        getattr(node(name), action)(*([echo] if action == "add_task" else []))
    assert result.state == state
    if stop == "node":
        play(result.id)
        assert result.state == "SUCCESS"


@pytest.mark.parametrize("action", ["rerun", "complete", "retry"])
def test_a_node_that_was_revoked_before_it_was_reached_does_not_run_before_its_parent(action):
    """This includes nodes with ``run_when="always"``: the parent has no outcome."""
    tree = TaskTree()
    tree.add_task(echo, ["a"]).add_task(echo, ["b"], run_when="always")
    tree.add_task(echo, ["rest"])
    result = tree.apply_async()
    node("a").revoke()
    with pytest.raises(NotPossible):
        getattr(node("b"), action)()
    assert queued(result.id) == ["rest"]


def test_a_revoked_root_node_can_be_retried_alone():
    tree = TaskTree()
    tree.add_task(echo, ["a"]).add_task(echo, ["a1"])
    tree.add_task(echo, ["b"])
    result = tree.apply_async()
    result.revoke()
    node("a").retry()
    assert play(result.id) == ["a", "a1"]
    assert states(result.id)["b"] == "REVOKED"
    assert result.state == "FAILURE"


def test_a_node_that_ran_before_a_rerun_does_not_run_before_its_parent():
    tree = TaskTree()
    tree.add_task(echo, ["a"]).add_task(echo, ["b"])
    result = tree.apply_async()
    play(result.id)
    node("a").rerun()
    result.revoke()
    assert node("b").node.attempts == 1
    with pytest.raises(NotPossible, match=r"can't run now, because node .*, above it, is REVOKED"):
        node("b").rerun()


@pytest.mark.parametrize("stop", [stop_by_failure, stop_by_revoke])
def test_no_node_can_be_added_below_a_node_that_a_stop_has_revoked(stop):
    tree = TaskTree(on_failure="stop")
    tree.add_task(echo, ["b"]).add_task(echo, ["waiting"], run_when="failure")
    result = tree.apply_async()
    stop(result)
    state = result.state
    with pytest.raises(NotPossible, match="nodes added to it would never run"):
        node("waiting").add_task(echo, ["new"], run_when="always")
    assert result.state == state


def test_a_node_that_is_revoked_before_it_is_reached_waits_after_a_retry():
    tree = TaskTree()
    tree.add_task(echo, ["a"]).add_task(echo, ["b"]).add_task(echo, ["c"])
    result = tree.apply_async()
    node("b").revoke()
    node("b").retry()
    assert play(result.id) == ["a", "b", "c"]
    assert result.state == "SUCCESS"


@pytest.fixture
def gathered():
    """Return a run in which the gather node "g" is queued."""
    tree = TaskTree()
    top = tree.add_task(echo, ["top"])
    top.add_task(echo, ["a"]).gather(echo, ["ag"])
    top.gather(echo, ["g"])
    tree.gather(echo, ["all"])
    result = tree.apply_async()
    for name in ("top", "a", "ag"):
        end(take(result.id, name))
    return result


def test_a_queued_gather_node_waits_for_an_added_node(gathered):
    message = ref(node("g").id)
    node("a").add_task(echo, ["new"])
    assert queued(gathered.id) == ["new"]
    assert not claim(message, "w")
    assert play(gathered.id) == ["new", "g", "all"]
    assert gathered.state == "SUCCESS"


def test_a_runnable_gather_node_waits_for_an_added_node(gathered):
    gathered.pause()
    message = ref(node("g").id)
    NodeRun.objects.filter(id=message.id).update(state="PENDING", runnable=True)
    node("a").add_task(echo, ["new"])
    gathered.resume()
    assert play(gathered.id) == ["new", "g", "all"]


def test_a_gather_node_does_not_wait_for_nodes_added_next_to_it_or_below_it(gathered):
    node("top").gather(echo, ["next"])
    node("g").add_task(echo, ["below"])
    assert queued(gathered.id) == ["g"]
    assert play(gathered.id) == ["g", "below", "next", "all"]


def test_a_started_gather_node_does_not_wait_for_an_added_node(gathered):
    started = take(gathered.id, "g")
    node("a").add_task(echo, ["new"])
    end(started)
    assert play(gathered.id) == ["new", "all"]


def test_a_gather_node_runs_again_after_everything_else_has_ended(gathered):
    play(gathered.id)
    node("a").rerun()
    end(take(gathered.id, "a"))
    assert queued(gathered.id) == ["ag"]
    with pytest.raises(NotPossible, match="only a node that has run"):
        node("g").rerun()
    assert play(gathered.id) == ["ag", "g", "all"]


def test_losses_before_a_retry_do_not_count_after_it():
    result = run_with_a_skipped_handler()
    lost = NodeError("x", "lost")
    for _ in range(2):
        message = take(result.id, "b")
        requeue(message, LOST, lost)
    assert losses(ref(message.id)) == 2
    end(take(result.id, "b"), "failure")
    result.retry()
    assert losses(ref(message.id)) == 0
    requeue(take(result.id, "b"), LOST, lost)
    assert losses(ref(message.id)) == 1


def test_a_sweep_finds_nothing_to_repair_after_revoke_and_retry(app):
    result = run_with_a_skipped_handler()
    result.revoke()
    result.retry()
    play(result.id)
    NodeRun.objects.filter(finished_at__isnull=False).update(finished_at=F("finished_at") - timedelta(hours=1))
    assert not sweep(app)
