"""A page of a tree: some nodes under one parent, and the beginning of what is below them.

However large the tree is, a page costs a handful of queries and at most ``MOST`` rows.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.urls import reverse

from django_tasktree.admin.tree_row import TreeRow, node_rows
from django_tasktree.models import NodeRun, TreeRun
from django_tasktree.text import short_name

#: How many nodes under the parent make a page.
PAGE = 50
#: How many levels below them are shown, how many children of each node there, and how many rows in all.
LEVELS, FEW, MOST = 3, 5, 200


@dataclass(frozen=True)
class TreePage:
    """What the table shows.

    Attributes:
        parent: the node whose children the page is about; None for the root nodes.
        ancestors: the nodes above the parent, the nearest last; only the nearest few.
        rows: the table.
        total: how many nodes are under the parent.
        number: the page, from 1.
    """

    parent: Any
    ancestors: list[Any]
    rows: list[TreeRow]
    total: int
    number: int

    @property
    def first(self) -> int:
        """The first of the page's nodes under the parent, counted from 1."""
        return (self.number - 1) * PAGE + 1

    @property
    def last(self) -> int:
        """The last of them."""
        return min(self.number * PAGE, self.total)

    @property
    def previous(self) -> int | None:
        """The page before."""
        return self.number - 1 if self.number > 1 else None

    @property
    def next(self) -> int | None:
        """The page after."""
        return self.number + 1 if self.last < self.total else None

    @property
    def path(self) -> list[dict[str, Any]]:
        """The ancestors, and at the end the parent."""
        nodes = [*self.ancestors, self.parent] if self.parent else []
        return [{"id": node.id, "task": node.task, "name": short_name(node.task)} for node in nodes]

    @property
    def skips_ancestors(self) -> bool:
        """Whether there are nodes above the first ancestor."""
        return bool(self.ancestors) and self.ancestors[0].parent_id is not None


def tree_page(run: TreeRun, parent: Any = None, number: int = 1) -> TreePage:
    """Read a page.

    Args:
        run: the run.
        parent: the node whose children are shown, as ``parent_of`` reads it; None for the root nodes.
        number: the page.
    """
    total, number, top = _siblings(run, parent, number)
    rows = _table(run, top, _below(run, top))
    return TreePage(parent, _ancestors(parent), rows, total, number)


def rows_below(run: TreeRun, parent: Any, number: int, depth: int) -> TreePage:
    """Read a page of the nodes under one parent, without what is below them.

    Args:
        run: the run.
        parent: the node; None for the root nodes.
        number: the page.
        depth: how far the rows are indented.
    """
    total, number, top = _siblings(run, parent, number)
    return TreePage(parent, [], [TreeRow(run, node, depth, node.child_count) for node in top], total, number)


def place_in_tree(node: Any, site: str) -> str:
    """Give the address that shows a node among its siblings in the tree of its run.

    Args:
        node: a node, with its parent's key and its position.
        site: the name of the admin site.
    """
    page = reverse("admin:django_tasktree_treerun_change", args=[node.run_id], current_app=site)
    query = {"page": str(node.position // PAGE + 1)}
    if node.parent_id is not None:
        query["parent"] = str(node.parent_id)
    return f"{page}?{urlencode(query)}#node-{node.id.hex}"


def _siblings(run: TreeRun, parent: Any, number: int) -> tuple[int, int, list[Any]]:
    parent_id = parent.id if parent else None
    total = parent.child_count if parent else NodeRun.objects.under(run.id, None).count()
    number = min(max(number, 1), max((total + PAGE - 1) // PAGE, 1))
    start = (number - 1) * PAGE
    return total, number, list(node_rows().under(run.id, parent_id).in_order()[start : start + PAGE])


def parent_of(run: TreeRun, node_id: UUID) -> Any:
    """Read a node of the run, with the nearest nodes above it; None where the run has none such."""
    columns = [f"{prefix}{name}" for prefix in _ABOVE for name in ("task", "parent", "run", "child_count")]
    nodes = NodeRun.objects.filter(run_id=run.id, id=node_id).select_related(_ABOVE[-1].rstrip("_"))
    return nodes.only(*columns).first()


_ABOVE = tuple("parent__" * steps for steps in range(5))


def _ancestors(parent: Any) -> list[Any]:
    found: list[Any] = []
    # One step fewer than were read, so that no step asks the database.
    while parent is not None and parent.parent_id is not None and len(found) < len(_ABOVE) - 1:
        parent = parent.parent
        found.insert(0, parent)
    return found


def _below(run: TreeRun, top: Sequence[Any]) -> dict[UUID, list[Any]]:
    """Read the first children of each node, level by level, as long as there is room."""
    children: dict[UUID, list[Any]] = defaultdict(list)
    level, room = list(top), MOST - len(top)
    for _ in range(LEVELS):
        parents = [node.id for node in level if node.child_count]
        if not parents or room <= 0:
            break
        first = node_rows().filter(run_id=run.id, parent_id__in=parents, position__lt=FEW)
        level = list(first.in_order()[:room])
        room -= len(level)
        for node in level:
            children[node.parent_id].append(node)
    return children


def _table(run: TreeRun, top: Sequence[Any], children: Mapping[UUID, list[Any]]) -> list[TreeRow]:
    """Put each node's children below it."""
    rows = []
    waiting = [(node, 0) for node in reversed(top)]
    while waiting:
        node, depth = waiting.pop()
        shown = children.get(node.id, [])
        rows.append(TreeRow(run, node, depth, max(node.child_count - len(shown), 0)))
        waiting.extend((child, depth + 1) for child in reversed(shown))
    return rows
