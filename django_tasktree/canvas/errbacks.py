"""``link_error``: what is called if a part fails, or if what it waits for does."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from django_tasktree.canvas.signatures import kind_of, message_options
from django_tasktree.exceptions import UnsupportedCanvas
from django_tasktree.nodes import TaskTreeNode

if TYPE_CHECKING:
    from django_tasktree.canvas.importing import Spot

_ERRBACK = "django_tasktree.errback"


def add_errbacks(spot: "Spot", node: TaskTreeNode, errbacks: Iterable[Any]) -> None:
    """Add a node for each errback of a node; for the body of a chord one more, which runs if the header failed.

    Raises:
        UnsupportedCanvas: an errback is a chain, group or chord.
    """
    for errback in errbacks:
        if kind_of(errback) != "task":
            raise UnsupportedCanvas(f"an errback (link_error) must be one task, not a {kind_of(errback)}")
        options = {**message_options(errback), "allow_failure": True, "run_when": "failure"}
        node.add_task(_ERRBACK, [dict(errback)], **options)
        if spot.gathers:
            position = next(i for i, child in enumerate(spot.parent.children) if child is node)
            spot.parent.gather(_ERRBACK, [dict(errback)], {"body": position}, **options)
