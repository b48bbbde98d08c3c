"""Damage for the sweep to find: nodes that wait, or run, though nothing will come of it."""

from datetime import timedelta

from django.db.models import F

from django_tasktree import TaskTree
from django_tasktree.engine.claim import claim
from django_tasktree.engine.moves import nodes
from tests.integration.engine.trees import ref
from tests.sample.tasks import echo


def launched(*labels, **options):
    """Launch a run of root nodes; gives their handles."""
    tree = TaskTree()
    for label in labels:
        tree.add_task(echo, [label], **options)
    return tree.apply_async().children


def age(handle, seconds):
    """Set a node's times back."""
    for column in ("queued_at", "started_at", "finished_at"):
        rows = nodes().filter(id=handle.id, **{f"{column}__isnull": False})
        rows.update(**{column: F(column) - timedelta(seconds=seconds)})


def started(world, handle, worker="w"):
    """Let a worker claim a node; nothing runs it."""
    message = ref(handle.id)
    assert claim(message, f"{worker}@here", world.hosts[worker].id)
    return message


def resent(handle):
    return nodes().filter(id=handle.id).values_list("resent", flat=True).get()
