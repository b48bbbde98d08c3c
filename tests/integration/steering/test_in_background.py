"""Many runs, or nodes, are steered by a run of its own."""

import pytest

from django_tasktree import TaskTree, TreeResult, bulk, bulk_steering
from django_tasktree.exceptions import UnknownDefinition
from django_tasktree.models import HistoryEntry, NodeRun, TreeRun
from tests.sample.tasks import echo, fail, grow
from tests.simulation import Crash

pytestmark = pytest.mark.django_db(transaction=True)


def launch(name="tree", task=echo):
    tree = TaskTree(name)
    tree.add_task(task, ["a"]).add_task(echo, ["b"])
    return tree.apply_async()


@pytest.fixture
def failed(world):
    results = [launch(task=fail) for _ in range(5)]
    world.deliver_all("w")
    return results


@pytest.fixture
def two_at_a_time(monkeypatch):
    monkeypatch.setattr(bulk_steering, "AT_A_TIME", 2)


def summed_up(result):
    assert result.state == "SUCCESS"
    return result.children[-1].get()


def test_all_are_asked_and_the_last_node_sums_up(world, failed, two_at_a_time, admin_user):
    going = launch()
    world.receive_all()
    result = bulk(TreeRun.objects.all()).in_background("retry", by=admin_user, name="Retry")
    assert {one.state for one in failed} == {"FAILURE"}
    assert result.run.name == "Retry"
    assert result.run.launched_by == admin_user
    assert result.run.nodes.filter(is_gather=False).count() == 3
    world.deliver_all("w")
    found = summed_up(result)
    reasons = found.pop("reasons")
    assert found == {"done": 5, "refused": 1, "missing": 0, "left": 0, "nodes": 10}
    assert list(reasons) == [str(going.id)]
    assert "nothing in run" in reasons[str(going.id)]
    for one in failed:
        (entry,) = one.history
        assert (entry.user, entry.actor, entry.action) == (admin_user, "admin", "retry")


def test_one_node_works_at_a_time(world, failed, two_at_a_time):
    result = bulk(TreeRun.objects.all()).in_background("retry")
    assert [node.state for node in result.children] == ["QUEUED", "PENDING", "PENDING", "PENDING"]


@pytest.mark.parametrize("verb", ["pause", "revoke", "copy"])
def test_what_runs_can_be_asked(world, verb):
    results = [launch() for _ in range(3)]
    world.receive_all()
    result = bulk(TreeRun.objects.all()).in_background(verb, by="the test")
    world.deliver_all("w")
    assert summed_up(result)["done"] == 3
    assert {entry.actor for one in results for entry in one.history} == {"the test"}


def test_runs_are_deleted(world, failed):
    going = launch()
    world.receive_all()
    kept = bulk(TreeRun.objects.filter(id__in=[one.id for one in [*failed, going]])).in_background("delete")
    world.deliver_all("w")
    found = summed_up(kept)
    assert (found["done"], found["refused"], found["nodes"]) == (5, 1, 10)
    assert set(TreeRun.objects.values_list("id", flat=True)) == {going.id, kept.id}


@pytest.mark.parametrize(
    ("verb", "options"), [("retry", {}), ("rerun", {}), ("skip", {"result": {"a": 1}}), ("revoke", {"terminate": True})]
)
def test_what_nodes_can_be_asked(world, failed, verb, options):
    states = "PENDING" if verb == "revoke" else "FAILURE"
    TreeRun.objects.filter(state="FAILURE") if verb != "revoke" else [launch() for _ in range(3)]
    nodes = NodeRun.objects.filter(state=states)
    ids = list(nodes.values_list("id", flat=True))
    result = bulk(nodes).in_background(verb, **options)
    world.deliver_all("w")
    assert summed_up(result)["done"] == len(ids)
    if verb == "skip":
        assert {one.children[0].get()["a"] for one in failed} == {1}


def test_what_is_deleted_meanwhile_is_counted(world, failed):
    result = bulk(TreeRun.objects.all()).in_background("retry")
    failed[0].run.nodes.all().delete()
    TreeRun.objects.filter(id=failed[0].id).delete()
    world.deliver_all("w")
    found = summed_up(result)
    assert (found["done"], found["missing"]) == (4, 1)


def test_a_user_who_is_deleted_meanwhile_is_named(world, failed, django_user_model):
    user = django_user_model.objects.create(username="kim")
    result = bulk(TreeRun.objects.all()).in_background("retry", by=user)
    user.delete()
    world.deliver_all("w")
    assert summed_up(result)["done"] == 5
    assert {(entry.user, entry.actor) for entry in HistoryEntry.objects.filter(action="retry")} == {(None, "kim")}


@pytest.mark.parametrize(
    ("model", "verb"), [(TreeRun, "rerun"), (NodeRun, "copy"), (NodeRun, "delete"), (TreeRun, "_each")]
)
def test_wrong_verbs(model, verb):
    with pytest.raises(ValueError, match="can't be asked of"):
        bulk(model.objects.all()).in_background(verb)


@pytest.mark.parametrize("options", [{"nonsense": 1}, {"result": 1}])
def test_options_that_the_verb_does_not_take(options):
    with pytest.raises(TypeError, match="retry: got an unexpected keyword argument"):
        bulk(TreeRun.objects.all()).in_background("retry", **options)


def test_a_row_that_joins_find_several_times_is_asked_once(world):
    tree = TaskTree()
    for name in "abc":
        tree.add_task(fail, [name])
    failed = tree.apply_async()
    world.deliver_all("w")
    found = TreeRun.objects.filter(nodes__state="FAILURE")
    assert list(bulk(found).preview("retry").done) == [failed.id]
    result = bulk(found).in_background("copy")
    world.deliver_all("w")
    assert summed_up(result)["done"] == 1
    assert TreeRun.objects.filter(copy_of=failed.id).count() == 1


def test_one_row_that_fails_does_not_keep_the_others(world, failed, monkeypatch):
    """Neither an error of the app nor any other."""
    TreeRun.objects.filter(id=failed[1].id).update(definition="gone")
    real = bulk_steering._copy

    def copy(handle, by):
        if handle.id == failed[2].id:
            raise ZeroDivisionError("what a definition may raise")
        return real(handle, by)

    monkeypatch.setattr(bulk_steering, "_copy", copy)
    result = bulk(TreeRun.objects.all()).in_background("copy")
    world.deliver_all("w")
    found = summed_up(result)
    assert (found["done"], found["refused"]) == (3, 2)
    assert found["reasons"][str(failed[1].id)].startswith("no tree is registered as 'gone'")
    assert found["reasons"][str(failed[2].id)] == "ZeroDivisionError: what a definition may raise"


def test_nodes_that_others_remove_are_missing(world):
    tree = TaskTree()
    tree.add_task(grow, [2, 1])
    grown = tree.apply_async()
    world.deliver_all("w")
    number = grown.run.nodes.count()
    result = bulk(grown.run.nodes.all()).in_background("rerun")
    world.deliver_all("w")
    found = summed_up(result)
    assert found["done"] + found["missing"] + found["refused"] == number > 1
    assert found["missing"]


def test_what_was_not_handled_is_told(world, failed, two_at_a_time):
    """Nodes that were skipped, and others that somebody has added, have no result that could be summed up."""
    result = bulk(TreeRun.objects.all()).in_background("retry")
    result.add_task(echo, ["from somebody else"])
    result.children[0].skip()
    world.deliver_all("w")
    found = result.children[3].get()
    assert (found["done"], found["left"]) == (3, 2)


def test_a_run_that_steers_others_is_not_copied(world, failed):
    result = bulk(TreeRun.objects.all()).in_background("delete")
    with pytest.raises(UnknownDefinition):
        result.copy()


def test_an_attempt_that_was_taken_for_lost_does_nothing_more(world, failed, monkeypatch):
    """It may only have been slow: what another attempt has taken over is not done twice."""
    ids = [one.id for one in failed]
    result = bulk(TreeRun.objects.all()).in_background("copy")
    (message,) = world.receive_all()
    real, calls = bulk_steering._copy, []

    def slow(handle, by):
        calls.append(handle.id)
        if len(calls) == 2:
            world.kill_worker("slow")
            assert world.recover(lambda: TreeResult(result.id).ready())
        return real(handle, by)

    monkeypatch.setattr(bulk_steering, "_copy", slow)
    world.start_worker("slow")
    world.deliver(message, "slow")
    assert len(calls) > len(ids)
    copied = TreeRun.objects.filter(copy_of__isnull=False).values_list("copy_of", flat=True)
    assert sorted(copied) == sorted(ids)
    assert summed_up(result)["done"] == 5


def wherever_the_worker_dies(world, steer, every):
    """Give the run that steers others for each step at which its worker may die, once it has ended all the same.

    Args:
        world: the simulation.
        steer: makes what is steered, and launches the run.
        every: die at each step of so many.
    """
    step, ended = 0, False
    while not ended:
        step += every
        NodeRun.objects.all().delete()
        TreeRun.objects.all().delete()
        result = steer()
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


@pytest.mark.parametrize("verb", ["retry", "delete"])
def test_the_sum_is_right_wherever_the_worker_dies(world, verb):
    def steer():
        for _ in range(3):
            launch("victim", fail)
        world.deliver_all("w")
        return bulk(TreeRun.objects.all()).in_background(verb)

    for result in wherever_the_worker_dies(world, steer, every=7):
        found = summed_up(result)
        assert (found["done"], found["missing"], found["refused"]) == (3, 0, 0)
        if verb == "retry":
            assert found["nodes"] == 6


def test_nobody_can_be_asked(world):
    result = bulk(TreeRun.objects.none()).in_background("retry")
    world.deliver_all("w")
    assert summed_up(result)["done"] == 0


def test_each_is_asked_once_wherever_the_worker_dies(world):
    """A copy, most of all, must not be made twice."""

    def steer():
        originals = [launch("original").id for _ in range(3)]
        world.receive_all()
        return bulk(TreeRun.objects.filter(id__in=originals)).in_background("copy")

    for result in wherever_the_worker_dies(world, steer, every=3):
        assert summed_up(result)["done"] == 3
        originals = TreeRun.objects.filter(name="original", copy_of__isnull=True).values_list("id", flat=True)
        copied = TreeRun.objects.filter(copy_of__isnull=False).values_list("copy_of", flat=True)
        assert sorted(copied) == sorted(originals)
