"""What a map costs: its children are ordinary nodes, and their rows are made in batches."""

import pytest
from django.db import connections

from django_tasktree import TaskTree
from django_tasktree.dispatch import capacities
from django_tasktree.models import NodeRun
from tests import simulation
from tests.sample.map_tasks import numbers
from tests.sample.tasks import echo

QUEUE = "map-costs"
_CONTROL = ("BEGIN", "COMMIT", "SAVEPOINT", "RELEASE", "START TRANSACTION")
#: Items more than in the other run.
MORE = 400
#: Statements to make a batch of children: lock the run and the node, look whether it goes on, insert.
PER_BATCH = 4


@pytest.fixture
def world(database, app, settings, monkeypatch):
    """Yield a simulation with a worker that has one process, and that spends an hour on a message.

    The processes of the workers are asked for each time, so that the time since the last answer changes no count.
    """
    settings.TASKTREE = {"SHARE_MESSAGE_FOR": 3600, "BATCH_SIZE": 200}
    monkeypatch.setattr(capacities, "_REMEMBER", 0)
    with simulation.one_process(app, QUEUE) as world:
        yield world


def statements(world, tree, alias):
    """Return the number of statements of the workers of a run."""
    result = tree.apply_async()
    executed = []

    def note(execute, sql, params, many, context):
        executed.append(str(sql))
        return execute(sql, params, many, context)

    with connections[alias].execute_wrapper(note):
        world.deliver_all("w")
    assert result.state == "SUCCESS"
    return sum(not sql.startswith(_CONTROL) for sql in executed)


def fan(size):
    tree = TaskTree()
    source = tree.add_task(numbers, [size])
    for number in range(size):
        source.add_task(echo, [number])
    source.gather(echo)
    return tree


def mapped(size):
    tree = TaskTree()
    source = tree.add_task(numbers, [size])
    pages = source.map(echo, over=source.output, tolerate="2%")
    pages.gather(echo)
    return tree


def test_a_child_costs_what_a_node_of_a_fan_costs(world, database):
    fans = [statements(world, fan(size), database) for size in (400, 400 + MORE)]
    maps = [statements(world, mapped(size), database) for size in (400, 400 + MORE)]
    assert maps[1] - maps[0] <= fans[1] - fans[0] + PER_BATCH * MORE // 200


def test_a_template_is_not_read_with_the_children(world):
    mapped(3).apply_async()
    world.deliver_all("w")
    assert NodeRun.objects.filter(template__isnull=False).count() == 1
