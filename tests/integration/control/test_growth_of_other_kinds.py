"""Maps, waits, copies of trees and sub-runs that handles add to a run which has ended."""

from datetime import timedelta

import pytest
from asgiref.sync import async_to_sync
from django.db import connections
from django.test.utils import CaptureQueriesContext

from django_tasktree import TaskTree
from django_tasktree.exceptions import InvalidOption, NotPossible
from django_tasktree.models import NodeRun
from django_tasktree.testing import registered
from tests import simulation
from tests.interleaving import before_statement
from tests.sample.sub_run_tasks import report
from tests.sample.tasks import echo, grow_labelled


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


def positions_below(run):
    """Return the labels and positions of the children of the root node."""
    return list(NodeRun.objects.filter(parent__run_id=run.id).order_by("position").values_list("label", "position"))


class TestBesideATask:
    """A handle adds a node while the task of the parent ends, which has added nodes too."""

    WRITE = r"(WITH finished AS \( ?)?UPDATE django_tasktree_noderun SET state = 'SUCCESS'"

    def children_after(self, world, label):
        tree = TaskTree()
        parent = tree.add_task(grow_labelled, [["x", "y"]], label="top")
        run = tree.apply_async()
        with before_statement(self.WRITE, lambda: run[parent].add_task(echo, ["new"], label=label)):
            world.deliver_all("w")
        return run, positions_below(run)

    def test_positions_differ(self, world):
        run, children = self.children_after(world, "z")
        assert children == [("z", 0), ("x", 1), ("y", 2)]
        assert (run.state, run["top/z"].get()) == ("SUCCESS", "new")

    def test_a_label_that_was_taken_meanwhile_fails_the_node(self, world):
        run, children = self.children_after(world, "y")
        # The other node was added in the same transaction, which is rolled back.
        assert children == []
        failed = NodeRun.objects.get(run_id=run.id)
        assert (run.state, failed.state, failed.error_type) == (
            "FAILURE",
            "FAILURE",
            "django_tasktree.exceptions.InvalidOption",
        )
        assert "has the label 'y' already" in failed.error_message

    def test_positions_differ_after_a_rerun(self, world):
        run, _ = self.children_after(world, "z")
        run["top"].add_task(echo, ["later"], label="later")
        world.deliver_all("w")
        run["top"].rerun()
        world.deliver_all("w")
        positions = [position for _, position in positions_below(run)]
        assert len(positions) == len(set(positions)) == 4


def test_the_parent_is_locked_before_its_children_are_read(run, database):
    """A task of the parent that ends at the same moment has added its nodes before, or waits."""
    if database == "default":
        pytest.skip("SQLite has one writer")
    with CaptureQueriesContext(connections[database]) as queries:
        run["a"].add_task(echo, label="x")
    statements = [query["sql"] for query in queries]
    locked = next(number for number, sql in enumerate(statements) if "FOR UPDATE" in sql)
    read = next(number for number, sql in enumerate(statements) if sql.startswith("SELECT 1 AS"))
    assert locked < read
