"""Actions on many runs or nodes that a run of their own carries out in the background."""

import pytest

from django_tasktree import TaskTree, TreeResult, bulk
from django_tasktree.client import bulk as bulk_actions
from django_tasktree.exceptions import UnknownDefinition
from django_tasktree.models import HistoryEntry, NodeRun, TreeRun
from tests.sample.tasks import echo, fail, grow
from tests.simulation import Crash

pytestmark = pytest.mark.django_db(transaction=True)


def launch(name="tree", task=echo):
    """Launch a run of two nodes."""
    tree = TaskTree(name)
    tree.add_task(task, ["a"]).add_task(echo, ["b"])
    return tree.apply_async()


@pytest.fixture
def failed(world):
    """Return the handles of five runs that have failed."""
    results = [launch(task=fail) for _ in range(5)]
    world.deliver_all("w")
    return results


@pytest.fixture
def two_at_a_time(monkeypatch):
    """Let each node of the background run handle two rows."""
    monkeypatch.setattr(bulk_actions, "AT_A_TIME", 2)


def summary_of(result):
    """Return the result of the last node of a background run."""
    assert result.state == "SUCCESS"
    return result.children[-1].get()


def test_every_run_is_handled_and_the_last_node_returns_a_summary(world, failed, two_at_a_time, admin_user):
    unfinished = launch()
    world.receive_all()
    result = bulk(TreeRun.objects.all()).in_background("retry", by=admin_user, name="Retry")
    assert {one.state for one in failed} == {"FAILURE"}
    assert result.run.name == "Retry"
    assert result.run.launched_by == admin_user
    assert result.run.nodes.filter(is_gather=False).count() == 3  # type: ignore[arg-type]
    world.deliver_all("w")
    found = summary_of(result)
    reasons = found.pop("reasons")
    assert found == {"done": 5, "refused": 1, "missing": 0, "left": 0, "nodes": 10}
    assert list(reasons) == [str(unfinished.id)]
    assert "nothing in run" in reasons[str(unfinished.id)]
    for one in failed:
        (entry,) = one.history
        assert (entry.user, entry.actor, entry.action) == (admin_user, "admin", "retry")


def test_one_node_is_active_at_a_time(world, failed, two_at_a_time):
    result = bulk(TreeRun.objects.all()).in_background("retry")
    assert [node.state for node in result.children] == ["QUEUED", "PENDING", "PENDING", "PENDING"]


@pytest.mark.parametrize("action", ["pause", "revoke", "copy"])
def test_actions_on_runs(world, action):
    results = [launch() for _ in range(3)]
    world.receive_all()
    result = bulk(TreeRun.objects.all()).in_background(action, by="the test")
    world.deliver_all("w")
    assert summary_of(result)["done"] == 3
    assert {entry.actor for one in results for entry in one.history} == {"the test"}


def test_runs_are_deleted(world, failed):
    unfinished = launch()
    world.receive_all()
    kept = bulk(TreeRun.objects.filter(id__in=[one.id for one in [*failed, unfinished]])).in_background("delete")
    world.deliver_all("w")
    found = summary_of(kept)
    assert (found["done"], found["refused"], found["nodes"]) == (5, 1, 10)
    assert set(TreeRun.objects.values_list("id", flat=True)) == {unfinished.id, kept.id}


@pytest.mark.parametrize(
    ("action", "options"),
    [("retry", {}), ("rerun", {}), ("complete", {"result": {"a": 1}}), ("revoke", {"terminate": True})],
)
def test_actions_on_nodes(world, failed, action, options):
    states = "PENDING" if action == "revoke" else "FAILURE"
    TreeRun.objects.filter(state="FAILURE") if action != "revoke" else [launch() for _ in range(3)]
    nodes = NodeRun.objects.filter(state=states)
    ids = list(nodes.values_list("id", flat=True))
    result = bulk(nodes).in_background(action, **options)
    world.deliver_all("w")
    assert summary_of(result)["done"] == len(ids)
    if action == "complete":
        assert {one.children[0].get()["a"] for one in failed} == {1}


def test_a_run_that_was_deleted_in_the_meantime_is_counted_as_missing(world, failed):
    result = bulk(TreeRun.objects.all()).in_background("retry")
    failed[0].run.nodes.all().delete()
    TreeRun.objects.filter(id=failed[0].id).delete()
    world.deliver_all("w")
    found = summary_of(result)
    assert (found["done"], found["missing"]) == (4, 1)


def test_a_user_who_was_deleted_in_the_meantime_is_recorded_by_name(world, failed, django_user_model):
    user = django_user_model.objects.create(username="kim")
    result = bulk(TreeRun.objects.all()).in_background("retry", by=user)
    user.delete()
    world.deliver_all("w")
    assert summary_of(result)["done"] == 5
    assert {(entry.user, entry.actor) for entry in HistoryEntry.objects.filter(action="retry")} == {(None, "kim")}


@pytest.mark.parametrize(
    ("model", "action"), [(TreeRun, "rerun"), (NodeRun, "copy"), (NodeRun, "delete"), (TreeRun, "_each")]
)
def test_unknown_actions_are_refused(model, action):
    with pytest.raises(ValueError, match=r"there is no action '\w+' on (run|node)s: choose one of "):
        bulk(model.objects.all()).in_background(action)


@pytest.mark.parametrize("options", [{"nonsense": 1}, {"result": 1}])
def test_unknown_options_are_refused(options):
    with pytest.raises(TypeError, match="retry: got an unexpected keyword argument"):
        bulk(TreeRun.objects.all()).in_background("retry", **options)


def test_a_row_that_a_join_returns_several_times_is_handled_once(world):
    tree = TaskTree()
    for name in "abc":
        tree.add_task(fail, [name])
    failed = tree.apply_async()
    world.deliver_all("w")
    found = TreeRun.objects.filter(nodes__state="FAILURE")
    assert list(bulk(found).preview("retry").done) == [failed.id]
    result = bulk(found).in_background("copy")
    world.deliver_all("w")
    assert summary_of(result)["done"] == 1
    assert TreeRun.objects.filter(copy_of=failed.id).count() == 1


def test_a_row_that_fails_does_not_stop_the_others(world, failed, monkeypatch):
    """The error is one of this package, or any other."""
    TreeRun.objects.filter(id=failed[1].id).update(definition="gone")
    real = TreeResult.copy

    def copy(handle, **options):
        if handle.id == failed[2].id:
            raise ZeroDivisionError("raised by a definition")
        return real(handle, **options)

    monkeypatch.setattr(TreeResult, "copy", copy)
    result = bulk(TreeRun.objects.all()).in_background("copy")
    world.deliver_all("w")
    found = summary_of(result)
    assert (found["done"], found["refused"]) == (3, 2)
    assert found["reasons"][str(failed[1].id)].startswith("no definition is registered as 'gone'")
    assert found["reasons"][str(failed[2].id)] == "ZeroDivisionError: raised by a definition"


def test_nodes_that_another_rerun_removes_are_counted_as_missing(world):
    tree = TaskTree()
    tree.add_task(grow, [2, 1])
    added_at_runtime = tree.apply_async()
    world.deliver_all("w")
    number = added_at_runtime.run.nodes.count()  # type: ignore[arg-type]
    result = bulk(added_at_runtime.run.nodes.all()).in_background("rerun")  # type: ignore[arg-type]
    world.deliver_all("w")
    found = summary_of(result)
    assert found["done"] + found["missing"] + found["refused"] == number > 1
    assert found["missing"]


def test_rows_that_were_not_handled_are_counted_as_left(world, failed, two_at_a_time):
    """Nodes that were completed, and nodes added from outside, have no result that could be counted."""
    result = bulk(TreeRun.objects.all()).in_background("retry")
    result.add_task(echo, ["added from outside"])
    result.children[0].complete()
    world.deliver_all("w")
    found = result.children[3].get()
    assert (found["done"], found["left"]) == (3, 2)


def test_a_background_run_cannot_be_copied(world, failed):
    result = bulk(TreeRun.objects.all()).in_background("delete")
    with pytest.raises(UnknownDefinition):
        result.copy()


def test_an_attempt_that_was_considered_lost_stops(world, failed, monkeypatch):
    """The attempt may only be slow: rows that another attempt handles are not handled twice."""
    ids = [one.id for one in failed]
    result = bulk(TreeRun.objects.all()).in_background("copy")
    (message,) = world.receive_all()
    real, calls = TreeResult.copy, []

    def slow(handle, **options):
        calls.append(handle.id)
        if len(calls) == 2:
            world.kill_worker("slow")
            assert world.recover(lambda: TreeResult(result.id).ready())
        return real(handle, **options)

    monkeypatch.setattr(TreeResult, "copy", slow)
    world.start_worker("slow")
    world.deliver(message, "slow")
    assert len(calls) > len(ids)
    copied = TreeRun.objects.filter(copy_of__isnull=False).values_list("copy_of", flat=True)
    assert sorted(copied) == sorted(ids)  # type: ignore[type-var]
    assert summary_of(result)["done"] == 5


def runs_after_crashes(world, launch_action, every):
    """Yield the recovered background run for each step at which its worker may crash.

    Args:
        world: the simulation.
        launch_action: creates the runs to act on, and launches the background run.
        every: the distance between two steps at which the worker crashes.
    """
    step, ended = 0, False
    while not ended:
        step += every
        NodeRun.objects.all().delete()
        TreeRun.objects.all().delete()
        result = launch_action()
        (message,) = world.receive_all()
        worker = world.start_worker("victim")
        with world.counting(crash_at=step):
            try:
                world.deliver(message, worker)
                ended = True
            except Crash:
                pass
        world.kill_worker(worker)
        assert world.recover(lambda result=result: TreeResult(result.id).ready())
        yield result
    assert step > 30


@pytest.mark.parametrize("action", ["retry", "delete"])
def test_the_summary_is_right_after_a_crash_at_any_step(world, action):
    def launch_action():
        for _ in range(3):
            launch("victim", fail)
        world.deliver_all("w")
        return bulk(TreeRun.objects.all()).in_background(action)

    for result in runs_after_crashes(world, launch_action, every=7):
        found = summary_of(result)
        assert (found["done"], found["missing"], found["refused"]) == (3, 0, 0)
        if action == "retry":
            assert found["nodes"] == 6


def test_an_empty_queryset_ends_with_an_empty_summary(world):
    result = bulk(TreeRun.objects.none()).in_background("retry")
    world.deliver_all("w")
    assert summary_of(result)["done"] == 0


def test_each_run_is_copied_once_after_a_crash_at_any_step(world):
    """A second copy would be a second run."""

    def launch_action():
        originals = [launch("original").id for _ in range(3)]
        world.receive_all()
        return bulk(TreeRun.objects.filter(id__in=originals)).in_background("copy")

    for result in runs_after_crashes(world, launch_action, every=3):
        assert summary_of(result)["done"] == 3
        originals = TreeRun.objects.filter(name="original", copy_of__isnull=True).values_list("id", flat=True)
        copied = TreeRun.objects.filter(copy_of__isnull=False).values_list("copy_of", flat=True)
        assert sorted(copied) == sorted(originals)  # type: ignore[type-var]
