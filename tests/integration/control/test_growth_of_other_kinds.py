"""Maps, waits, copies of trees and sub-runs that handles add to a run which has ended."""

from datetime import timedelta

import pytest
from asgiref.sync import async_to_sync

from django_tasktree import TaskTree
from django_tasktree.exceptions import InvalidOption, NotPossible
from django_tasktree.testing import registered
from tests import simulation
from tests.sample.sub_run_tasks import report
from tests.sample.tasks import echo


@pytest.fixture
def world(database, app):
    """Yield a simulation with one worker."""
    with registered(report), simulation.simulated(app, "growth") as world:
        world.start_worker("w")
        yield world


@pytest.fixture
def run(world):
    """Return a run that has ended."""
    tree = TaskTree()
    tree.add_task(echo, ["a"], label="a")
    run = tree.apply_async()
    world.deliver_all("w")
    assert run.state == "SUCCESS"
    return run


def test_a_wait_node(world, run):
    ok = run["a"].wait_for("approved", params={"by": str}, by="kim")
    after = ok.add_task(echo, [ok.output])
    assert (run.state, run["a/approved"].state, after.state) == ("STARTED", "WAITING", "PENDING")
    ok.complete({"by": "lee"})
    world.deliver_all("w")
    assert (run.state, after.get()) == ("SUCCESS", {"by": "lee"})
    assert [entry.actor for entry in run.history if entry.action == "add"] == ["kim", ""]


def test_a_sleep(world, run):
    slept = run.sleep(timedelta(days=1), label="later")
    assert (run.state, slept.state) == ("STARTED", "WAITING")
    with pytest.raises(InvalidOption, match="timedelta or until="):
        run.sleep()


def test_a_copy_of_a_tree(world, run):
    other = TaskTree()
    other.add_task(echo, ["x"], label="x").add_task(echo, ["y"], label="y")
    run["a"].add_tree(other, label="copied")
    world.deliver_all("w")
    assert (run.state, run["a/copied/x/y"].get()) == ("SUCCESS", "y")


def test_a_sub_run(world, run):
    node = run["a"].add_run("report", {"day": 1}, label="report")
    world.deliver_all("w")
    assert (run.state, node.state, node.sub_run.state) == ("SUCCESS", "SUCCESS", "SUCCESS")


def test_the_other_kinds_are_refused_in_a_map(world, run):
    pages = run.map(echo, over=[1, 2])
    for add in (
        lambda: pages.wait_for("e"),
        lambda: pages.add_tree(TaskTree()),
        lambda: pages.add_run("report", {"day": 1}),
    ):
        with pytest.raises((NotPossible, InvalidOption), match="a map"):
            add()


def test_without_blocking_the_event_loop(world, run):
    other = TaskTree()
    other.add_task(echo, ["x"])

    async def act():
        await run.await_for("approved")
        await run.asleep(timedelta(days=1), label="later")
        await run.aadd_tree(other, label="copied")
        await run.aadd_run("report", {"day": 1}, label="report")

    async_to_sync(act)()
    assert [run[label].state for label in ("approved", "later", "copied", "report")] == [
        "WAITING",
        "WAITING",
        "QUEUED",
        "QUEUED",
    ]
