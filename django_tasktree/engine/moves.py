"""The one way in which a node's state changes: a guarded UPDATE, legal by the table in ``states``."""

from collections.abc import Iterable
from typing import Any

from django.db import router

from django_tasktree.exceptions import IllegalMove
from django_tasktree.models import NodeRun
from django_tasktree.models.querysets import NodeRunQuerySet
from django_tasktree.states import NodeState, may_move


def write_alias() -> str:
    """The one database alias that the engine reads and writes."""
    return router.db_for_write(NodeRun)


def nodes() -> NodeRunQuerySet:
    """All nodes, on the alias that the engine writes."""
    return NodeRun.objects.using(write_alias())


def check(sources: Iterable[NodeState], target: NodeState) -> None:
    """Make sure that the table has a move from each of these states.

    Raises:
        IllegalMove: it has not.
    """
    for source in sources:
        if not may_move(source, target):
            raise IllegalMove(f"no node moves from {source} to {target}")


def move(queryset: NodeRunQuerySet, sources: Iterable[NodeState], target: NodeState, **values: Any) -> int:
    """Move those nodes that are in one of the source states to the target state.

    Args:
        queryset: the nodes; it must not be sliced.
        sources: the states that the caller expects.
        target: the new state.
        **values: columns to set along with it.

    Returns:
        How many nodes moved: 0 tells that somebody else was first.

    Raises:
        IllegalMove: the table does not have one of the moves.
    """
    sources = tuple(sources)
    check(sources, target)
    guard = {"state": sources[0]} if len(sources) == 1 else {"state__in": sources}
    return queryset.filter(**guard).update(state=target, **values)
