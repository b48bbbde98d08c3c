"""Read the topmost nodes of a run, with limits on levels, children of each node and the total."""

from collections.abc import Iterator, Mapping
from typing import Any
from uuid import UUID

from django_tasktree.management.display.nodes import NodeRow, nodes_of, read
from django_tasktree.management.display.page import Page
from django_tasktree.models import NodeRun
from django_tasktree.reporting.failed_children import FailedChildren

#: The maximum number of failed children of a node that are shown although they are not among its first children.
_MAX_FAILED = 3


def top_page(run_id: UUID, top: UUID | None = None, *, depth: int, per_parent: int, total: int) -> Page:
    """Return the first one of :func:`top_pages`, whose arguments these are."""
    return next(top_pages(run_id, top, depth=depth, per_parent=per_parent, total=total))


def top_pages(run_id: UUID, top: UUID | None = None, *, depth: int, per_parent: int, total: int) -> Iterator[Page]:
    """Yield a page of the topmost nodes, and then pages with one node less each, without the least important ones.

    They are read in at most three queries for each level and two more.

    Of a node with many children, these are the first children, the gather nodes, and the first ones that failed or lead
    to a failed node.

    Args:
        run_id: the run.
        top: the node with which the page begins; None: the root nodes.
        depth: the maximum number of levels.
        per_parent: the maximum number of children of each node, besides gather nodes and failed ones.
        total: the maximum number of nodes.
    """
    failed = FailedChildren(run_id)
    roots = NodeRun.objects.root_count(run_id) if top is None else 0
    shown: list[NodeRow] = []
    if top is None:
        level = _children(run_id, {None: roots}, failed, per_parent, total)
    else:
        level = read(nodes_of(run_id).filter(id=top))
    while level:
        shown.extend(level)
        depth -= 1
        parents = {row.id: row.child_count for row in level if row.child_count}
        if not (parents and depth and len(shown) < total):
            break
        level = _children(run_id, parents, failed, per_parent, total - len(shown))
    for number in range(len(shown), -1, -1):
        yield Page.of(shown[:number], roots, per_parent, failed)


def _children(run_id: UUID, parents: Mapping[Any, int], failed: FailedChildren, first: int, room: int) -> list[NodeRow]:
    """Return the children to show of some nodes, the most important ones first.

    Args:
        run_id: the run.
        parents: ID of a node, or None for the run -> the number of its children.
        failed: the failed nodes.
        first: the number of first children of each node.
        room: the maximum number of children in total.
    """
    found: dict[UUID, NodeRow] = {}
    wide = [key for key, number in parents.items() if number > first]
    if wide:
        # MySQL and MariaDB use the index that begins with ``settled`` if all of its values are listed.
        gather = _under(run_id, wide).filter(is_gather=True, settled__in=[True, False], position__gte=first)
        found |= {row.id: row for row in read(gather.order_by("parent_id", "position")[:room])}
        keys = [key for parent in wide for key in failed.beyond(parent, first, _MAX_FAILED)][:room]
        found |= {row.id: row for row in read(nodes_of(run_id).filter(id__in=keys))} if keys else {}
    usual = _under(run_id, list(parents)).filter(position__lt=first).order_by("parent_id", "position")
    return [*found.values(), *read(usual[: max(room - len(found), 0)])][:room]


def _under(run_id: UUID, parents: list[Any]) -> Any:
    nodes = nodes_of(run_id)
    return nodes.filter(parent__isnull=True) if parents == [None] else nodes.filter(parent_id__in=parents)
