"""Damage for the sweep to find: nodes that are queued or started, although nothing will run or finish them."""

from datetime import timedelta

from django.db.models import F

from django_tasktree import TaskTree
from django_tasktree.engine.lifecycle.claim import claim
from django_tasktree.engine.transitions import nodes
from tests.integration.engine.trees import ref
from tests.sample.tasks import echo


def launched(*labels, **options):
    """Launch a run of root nodes and return their handles."""
    tree = TaskTree()
    for label in labels:
        tree.add_task(echo, [label], **options)
    return tree.apply_async().children


def age(handle, seconds):
    """Set the times of a node back."""
    for column in ("queued_at", "started_at", "finished_at"):
        rows = nodes().filter(id=handle.id, **{f"{column}__isnull": False})
        rows.update(**{column: F(column) - timedelta(seconds=seconds)})


def started(world, handle, worker="w"):
    """Claim a node for a worker, which does not run it, and return its attempt."""
    message = ref(handle.id)
    assert claim(message, f"{worker}@here", world.hosts[worker].id)
    return message


def resend_count(handle):
    """Return how often the message of a node was sent again."""
    return nodes().filter(id=handle.id).values_list("resend_count", flat=True).get()
