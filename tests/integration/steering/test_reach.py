"""Steering of nodes that were never reached, and of what is near them: runs end, and no node precedes its parent."""

from datetime import timedelta

import pytest
from django.db.models import F

from django_tasktree import NodeResult, TaskTree, steering, times
from django_tasktree.engine.claim import claim
from django_tasktree.engine.retry import LOST, losses, requeue
from django_tasktree.engine.specs import NodeError
from django_tasktree.exceptions import NotPossible
from django_tasktree.models import NodeRun, TreeRun
from django_tasktree.sweeping import sweep
from tests.integration.engine.trees import ref
from tests.integration.steering.play import end, play, queued, states, take
from tests.sample.tasks import echo

pytestmark = pytest.mark.usefixtures("database")


def node(name):
    return NodeResult(NodeRun.objects.get(args=f'["{name}"]').id)


def with_a_skipped_handler(**options):
    """A node that succeeds, so that its failure handler is skipped and nothing below that is reached."""
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
    assert steering.enforce_deadline(result.id)


@pytest.mark.parametrize(
    ("stop", "on_failure"),
    [(stop_by_failure, "stop"), (stop_by_revoke, "continue"), (stop_by_deadline, "continue")],
)
def test_a_stopped_run_with_a_skipped_node_ends_after_a_retry(stop, on_failure):
    result = with_a_skipped_handler(on_failure=on_failure)
    stop(result)
    result.retry()
    assert play(result.id) == ["b", "b1"]
    assert result.state == "SUCCESS"
    found = states(result.id)
    assert [found[name] for name in ("handler", "below", "deep", "g")] == ["SKIPPED", "PENDING", "PENDING", "PENDING"]


@pytest.mark.parametrize("verb", ["retry", "skip", "rerun", "add_task"])
@pytest.mark.parametrize("name", ["handler", "below", "deep", "g"])
@pytest.mark.parametrize("stop", [None, "node", "run"])
def test_nothing_below_a_skipped_node_can_be_made_to_run(verb, name, stop):
    result = with_a_skipped_handler()
    if stop == "node":
        node(name).revoke()
    elif stop == "run":
        result.revoke()
    else:
        play(result.id)
    state = result.state
    with pytest.raises(NotPossible):
        getattr(node(name), verb)(*([echo] if verb == "add_task" else []))
    assert result.state == state
    if stop == "node":
        play(result.id)
        assert result.state == "SUCCESS"


@pytest.mark.parametrize("verb", ["rerun", "skip", "retry"])
def test_a_node_that_was_revoked_unreached_does_not_run_before_its_parent(verb):
    """Also with ``run_when="always"``: the parent has had no outcome."""
    tree = TaskTree()
    tree.add_task(echo, ["a"]).add_task(echo, ["b"], run_when="always")
    tree.add_task(echo, ["rest"])
    result = tree.apply_async()
    node("a").revoke()
    with pytest.raises(NotPossible):
        getattr(node("b"), verb)()
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


def test_a_node_of_an_earlier_round_does_not_run_before_its_parent():
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
def test_nothing_is_added_below_a_node_that_a_stop_has_revoked(stop):
    tree = TaskTree(on_failure="stop")
    tree.add_task(echo, ["b"]).add_task(echo, ["waiting"], run_when="failure")
    result = tree.apply_async()
    stop(result)
    state = result.state
    with pytest.raises(NotPossible, match="what is added to it would never run"):
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
    tree = TaskTree()
    top = tree.add_task(echo, ["top"])
    top.add_task(echo, ["a"]).gather(echo, ["ag"])
    top.gather(echo, ["g"])
    tree.gather(echo, ["all"])
    result = tree.apply_async()
    for name in ("top", "a", "ag"):
        end(take(result.id, name))
    return result


def test_a_queued_gather_node_waits_for_what_is_added(gathered):
    late = ref(node("g").id)
    node("a").add_task(echo, ["new"])
    assert queued(gathered.id) == ["new"]
    assert not claim(late, "w")
    assert play(gathered.id) == ["new", "g", "all"]
    assert gathered.state == "SUCCESS"


def test_a_ready_gather_node_waits_for_what_is_added(gathered):
    gathered.pause()
    message = ref(node("g").id)
    NodeRun.objects.filter(id=message.id).update(state="PENDING", ready=True)
    node("a").add_task(echo, ["new"])
    gathered.resume()
    assert play(gathered.id) == ["new", "g", "all"]


def test_a_gather_node_does_not_wait_for_one_that_is_added_beside_it_or_below_it(gathered):
    node("top").gather(echo, ["beside"])
    node("g").add_task(echo, ["below"])
    assert queued(gathered.id) == ["g"]
    assert play(gathered.id) == ["g", "below", "beside", "all"]


def test_a_gather_node_that_has_started_does_not_wait_for_what_is_added(gathered):
    started = take(gathered.id, "g")
    node("a").add_task(echo, ["new"])
    end(started)
    assert play(gathered.id) == ["new", "all"]


def test_a_gather_node_is_run_again_once_all_else_has_ended(gathered):
    play(gathered.id)
    node("a").rerun()
    end(take(gathered.id, "a"))
    assert queued(gathered.id) == ["ag"]
    with pytest.raises(NotPossible, match="only a node that has run"):
        node("g").rerun()
    assert play(gathered.id) == ["ag", "g", "all"]


def test_losses_before_a_retry_do_not_count_after_it():
    result = with_a_skipped_handler()
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


def test_a_sweep_finds_nothing_to_do_after_any_of_this(app):
    result = with_a_skipped_handler()
    result.revoke()
    result.retry()
    play(result.id)
    NodeRun.objects.filter(finished_at__isnull=False).update(finished_at=F("finished_at") - timedelta(hours=1))
    assert not sweep(app)
