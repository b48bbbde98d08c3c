"""Sub-runs that begin and end while an action is carried out on their run, on real connections in threads."""

import pytest

from django_tasktree import TaskTree
from django_tasktree.dispatch.sub_runs import wait_for_run_of
from django_tasktree.engine.lifecycle.claim import claim
from django_tasktree.exceptions import StaleAttempt
from django_tasktree.models import TreeRun
from django_tasktree.testing import registered
from tests import simulation
from tests.concurrency.test_siblings import in_threads
from tests.concurrency.test_waits import together
from tests.integration.engine.trees import ref
from tests.sample.sub_run_tasks import asking


@pytest.fixture
def world(database, app):
    """Yield a simulation with a worker, on a database that allows concurrent writers."""
    if database == "default":
        pytest.skip("SQLite has one writer")
    with simulation.simulated(app, "concurrent-sub-runs") as world, registered(asking):
        world.start_worker("w")
        yield world


def launch():
    tree = TaskTree()
    tree.add_run("asking", label="asking")
    return tree.apply_async()


def start(node):
    try:
        wait_for_run_of(node, asking())
    except StaleAttempt as exc:
        return exc


@pytest.mark.parametrize(("action", "expected"), [("pause", "PAUSED"), ("revoke", "REVOKED")])
def test_a_sub_run_that_begins_sees_the_action_or_is_seen(world, database, action, expected):
    for of_node in (False, True) * 2:
        run = launch()
        world.receive_all()
        node = ref(run["asking"].id)
        assert claim(node, "w")
        act = getattr(run["asking"] if of_node else run, action)
        in_threads(database, *together(lambda node=node: start(node), act))
        found = set(TreeRun.objects.filter(parent_run_id=run.id).values_list("state", flat=True))
        assert found <= {expected}
        assert run["asking"].state == ("WAITING" if action == "pause" else "REVOKED")


def test_sub_runs_that_end_at_once_end_their_nodes_and_the_run(world, database):
    tree = TaskTree()
    for label in ("a", "b"):
        tree.add_run("asking", label=label)
    for _ in range(3):
        run = tree.apply_async()
        world.deliver_all("w")
        sub_runs = [run[label].sub_run for label in ("a", "b")]
        in_threads(database, *together(*[lambda each=each: each.send_event("ok", 1) for each in sub_runs]))
        assert (run["a"].get(), run["b"].get(), run.state) == (1, 1, "SUCCESS")


def test_a_node_is_completed_while_its_sub_run_ends(world, database):
    for _ in range(3):
        run = launch()
        world.deliver_all("w")
        sub_run = run["asking"].sub_run
        assert sub_run is not None
        ends = together(lambda each=sub_run: each.send_event("ok", 1), lambda run=run: run["asking"].complete(2))
        in_threads(database, *ends)
        assert run["asking"].get() in (1, 2)
        assert (run.state, sub_run.ready()) == ("SUCCESS", True)
