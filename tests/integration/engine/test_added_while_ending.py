"""A task adds nodes at the moment at which its run is ended."""

import pytest
from django.db import connections
from django.test.utils import CaptureQueriesContext

from django_tasktree import TaskTree
from django_tasktree.models import NodeRun
from tests import simulation
from tests.sample.tasks import echo, grow


@pytest.fixture
def statements(database, app):
    """Return a function that runs a tree and returns its statements, on a database with concurrent writers."""
    if database == "default":
        pytest.skip("SQLite has one writer")

    def run(tree):
        with simulation.simulated(app, "added") as world, CaptureQueriesContext(connections[database]) as queries:
            world.start_worker("w")
            tree.apply_async()
            world.deliver_all("w")
        return [query["sql"] for query in queries]

    return run


def with_map():
    tree = TaskTree()
    source = tree.add_task(echo, [[1, 2]])
    source.map(echo, over=source.output)
    return tree


def with_growth():
    tree = TaskTree()
    tree.add_task(grow, [1, 2])
    return tree


@pytest.mark.parametrize("build", [with_map, with_growth])
def test_the_run_is_locked_before_nodes_are_written(statements, build):
    """The operation that ends the run sees the new nodes, or the task sees that the run has ended."""
    found = statements(build())
    assert NodeRun.objects.count() > 2
    begins = [number for number, sql in enumerate(found) if sql == "BEGIN"]
    locks = [number for number, sql in enumerate(found) if sql.endswith(("FOR SHARE", "LOCK IN SHARE MODE"))]
    assert locks
    assert all(number - 1 in begins for number in locks)
