"""Which run or subtree a failure stops, and towards which limit a node counts.

Both are copied to each node, so that no query has to search its ancestors. A stop applies from the topmost node with
``on_failure="stop"`` or ``"terminate"``, a limit from the nearest node with ``max_active``; the run is above all nodes.
"""

from typing import Protocol
from uuid import UUID

from django_tasktree.engine.types import Placement
from django_tasktree.states import STOPPING

#: The position of the first node that gathers the children of a map: they come after any number of items.
AFTER_ITEMS = 1_000_000_000


class Parent(Protocol):
    """A node, or an attempt at it, as the parent of other nodes."""

    @property
    def id(self) -> UUID: ...  # noqa: D102
    @property
    def run_id(self) -> UUID: ...  # noqa: D102
    @property
    def stop_scope_id(self) -> UUID | None: ...  # noqa: D102
    @property
    def limit_scope_id(self) -> UUID | None: ...  # noqa: D102
    @property
    def max_active(self) -> int | None: ...  # noqa: D102


def stop_scope(key: UUID, on_failure: str, above: UUID | None) -> UUID | None:
    """Return the run or node that is stopped by the failure of a node, or of a root node of a run.

    Args:
        key: the ID of the node or run.
        on_failure: its ``on_failure``.
        above: the stop scope of the parent; None for a run.

    Returns:
        The ID of the run or node; None if a failure stops nothing.
    """
    return above or (key if on_failure in STOPPING else None)


def limit_scope_below(key: UUID, max_active: int | None, own: UUID | None) -> UUID | None:
    """Return the run or node towards whose limit the children of a node, or the root nodes of a run, count.

    Args:
        key: the ID of the node or run.
        max_active: its limit: the number of nodes that may be active at the same time; None for no limit.
        own: the run or node towards whose limit the node itself counts; None for a run.
    """
    return own if max_active is None else key


def place_in_run(run_id: UUID, on_failure: str, max_active: int | None, first_position: int = 0) -> Placement:
    """Return the placement of root nodes."""
    return Placement(
        run_id,
        first_position=first_position,
        stop_scope_id=stop_scope(run_id, on_failure, None),
        limit_scope_id=limit_scope_below(run_id, max_active, None),
    )


def place_below(parent: Parent, first_position: int) -> Placement:
    """Return the placement of children of a node."""
    return Placement(
        parent.run_id,
        parent.id,
        first_position,
        parent.stop_scope_id,
        limit_scope_below(parent.id, parent.max_active, parent.limit_scope_id),
    )
