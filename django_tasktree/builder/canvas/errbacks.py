"""Errbacks (``link_error``): the tasks that run if a part of a canvas fails, or the header of a chord."""

from collections.abc import Iterable
from typing import Any

from django_tasktree.builder.canvas.signatures import kind_of, message_options
from django_tasktree.builder.canvas.slots import Slot
from django_tasktree.builder.nodes import TaskTreeNode
from django_tasktree.exceptions import UnsupportedCanvas

_ERRBACK = "django_tasktree.errback"


def add_errbacks(slot: Slot, node: TaskTreeNode, errbacks: Iterable[Any]) -> None:
    """Add a node for each errback of a part; for a gather node (the body of a chord), a second one beside it.

    The first runs if the node itself fails. The second runs if the header of the chord fails, so that the body is
    skipped.

    Args:
        slot: where the node was added.
        node: the node of the part.
        errbacks: signatures.

    Raises:
        UnsupportedCanvas: an errback is a chain, group or chord.
    """
    for errback in errbacks:
        if kind_of(errback) != "task":
            raise UnsupportedCanvas(
                f"an errback (link_error) must be one task, not a {kind_of(errback)}: build that part with "
                'add_task(…, run_when="failure")'
            )
        options = {**message_options(errback), "allow_failure": True, "run_when": "failure"}
        node.add_task(_ERRBACK, [dict(errback)], **options)
        if slot.gathers:
            position = next(i for i, child in enumerate(slot.parent.children) if child is node)
            slot.parent.gather(_ERRBACK, [dict(errback)], {"body": position}, **options)
