"""Trees of tasks with ``chunk``, and a worker that runs them."""

from django_tasktree import TaskTree
from django_tasktree.models import NodeRun

QUEUE = "chunks"


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
