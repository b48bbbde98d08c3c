"""Trees of tasks with ``chunk``, and a worker that runs them."""

from contextlib import contextmanager

from django_tasktree import TaskTree
from django_tasktree.dispatch import capacities
from django_tasktree.engine.heartbeats import workers
from django_tasktree.models import NodeRun
from tests import simulation

QUEUE = "chunks"


@contextmanager
def one_process(app):
    """Yield a simulation with a worker that has one process."""
    with simulation.simulated(app, QUEUE) as world:
        world.start_worker("w")
        workers().filter(hostname="w").update(queues=[QUEUE], concurrency=1)
        capacities.forget_workers()
        yield world
    capacities.forget_workers()


def fan(task, values, **options):
    """Return a tree of root nodes with one argument each."""
    tree = TaskTree()
    for value in values:
        tree.add_task(task, [value], **options)
    return tree


def outcomes(result):
    return [node.state for node in result.children]


def errors(result):
    rows = NodeRun.objects.filter(run_id=result.id).order_by("position")
    return [row.error_message for row in rows]
