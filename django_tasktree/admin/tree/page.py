"""A page of a tree: the children of one parent at ``PAGE`` positions, and the first nodes below each of them.

A page may have fewer, where positions are vacant because their nodes were deleted when their parent was run again. The
number of queries is limited, and a page reads at most ``MAX_ROWS`` rows, however large the tree is.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django_tasktree.admin.addresses import page_address
from django_tasktree.admin.tree.important import MAX_LATER, Siblings, important
from django_tasktree.admin.tree.row import GapRow, TreeRow, node_rows
from django_tasktree.models import NodeRun, TreeRun
from django_tasktree.reporting.failed_children import FailedChildren

#: The number of children of the parent on a page.
PAGE = 50
#: The maximum numbers of levels below them, of children of each node there, and of rows in total.
MAX_LEVELS, MAX_CHILDREN, MAX_ROWS = 3, 5, 200


@dataclass(frozen=True)
class TreePage:
    """The content of the table.

    Attributes:
        parent: the node whose children the page shows; None for the root nodes.
        ancestors: the nearest ancestors of the parent, the nearest last.
        rows: the rows of the table; after a gap, also those of gather nodes and failed nodes of later pages.
        total: the number of children of the parent.
        number: the number of the page, from 1.
        pages: the number of all pages.
    """

    parent: Any
    ancestors: list[Any]
    rows: list[TreeRow | GapRow]
    total: int
    number: int
    pages: int

    @property
    def first(self) -> int:
        """The position among the parent's children of the page's first one, from 1."""
        return (self.number - 1) * PAGE + 1

    @property
    def last(self) -> int:
        """The position among the parent's children of the page's last one, from 1."""
        return min(self.number * PAGE, self.total) if self.next else self.total

    @property
    def previous(self) -> int | None:
        """The number of the previous page; None on the first page."""
        return self.number - 1 if self.number > 1 else None

    @property
    def next(self) -> int | None:
        """The number of the next page; None on the last page."""
        return self.number + 1 if self.number < self.pages else None

    @property
    def path(self) -> list[dict[str, Any]]:
        """The ancestors and the parent, from the top, for the breadcrumbs."""
        nodes = [*self.ancestors, self.parent] if self.parent else []
        return [{"id": node.id, "task": node.task, "name": node.title} for node in nodes]

    @property
    def skips_ancestors(self) -> bool:
        """Whether ``ancestors`` lacks nodes further up."""
        return bool(self.ancestors) and self.ancestors[0].parent_id is not None


def tree_page(run: TreeRun, parent: Any = None, number: int = 1) -> TreePage:
    """Return a page of the tree of a run.

    Args:
        run: the run.
        parent: the node whose children are shown, as returned by ``parent_of``; None for the root nodes.
        number: the number of the page, from 1; the nearest existing page is used.
    """
    top, *place = _siblings(run, parent, number)
    failed = FailedChildren(run.id)
    parent_id = parent.id if parent else None
    siblings = Siblings(parent_id, [*top, *_later(run, parent_id, place, failed)], place[0], place[1] * PAGE)
    rows = _table(run, siblings, _below(run, siblings.shown, failed), failed)
    return TreePage(parent, _ancestors(parent), rows, *place)


def rows_below(run: TreeRun, parent: Any, number: int, depth: int) -> tuple[TreePage, list[TreeRow]]:
    """Return a page of the children of one parent, without the nodes below them.

    With it, return the rows of gather nodes and failed nodes of later pages.

    Args:
        run: the run.
        parent: the node; None for the root nodes.
        number: the number of the page, from 1; the nearest existing page is used.
        depth: the indentation of the rows, in levels.
    """
    top, *place = _siblings(run, parent, number)
    later = _later(run, parent.id if parent else None, place, FailedChildren(run.id))
    rows, after = ([TreeRow(run, node, depth, node.child_count) for node in nodes] for nodes in (top, later))
    return TreePage(parent, [], [*rows], *place), after


def place_in_tree(node: Any, site: str) -> str:
    """Return the URL that shows a node among its siblings in the tree of its run.

    Args:
        node: the node; its ``run_id``, ``parent_id`` and ``position`` are used.
        site: the name of the admin site.
    """
    page = page_address(site, "treerun_change", node.run_id)
    query = {"page": str(node.position // PAGE + 1)}
    if node.parent_id is not None:
        query["parent"] = str(node.parent_id)
    return f"{page}?{urlencode(query)}#node-{node.id.hex}"


def _siblings(run: TreeRun, parent: Any, number: int) -> tuple[list[Any], int, int, int]:
    """Return the nodes of a page, the number of all siblings, the number of the page and the number of pages.

    The nodes are found by position: an offset would make the database read all siblings before them.
    """
    parent_id = parent.id if parent else None
    last = NodeRun.objects.last_position(run.id, parent_id)
    places = 0 if last is None else last + 1
    pages = max((places + PAGE - 1) // PAGE, 1)
    number = min(max(number, 1), pages)
    start = (number - 1) * PAGE
    siblings = node_rows().under(run.id, parent_id).filter(position__gte=start, position__lt=start + PAGE)
    # The limit lets PostgreSQL read the index in order, whatever it guesses about the number of siblings.
    return list(siblings.in_order()[: 2 * PAGE]), parent.child_count if parent else places, number, pages


def parent_of(run: TreeRun, node_id: UUID) -> Any:
    """Return a node of the run, with its nearest ancestors; None if the run has no such node."""
    columns = [f"{prefix}{name}" for prefix in _ABOVE for name in ("label", "task", "parent", "run", "child_count")]
    nodes = NodeRun.objects.filter(run_id=run.id, id=node_id).select_related(_ABOVE[-1].rstrip("_"))
    return nodes.only(*columns).first()


_ABOVE = tuple("parent__" * steps for steps in range(5))


def _ancestors(parent: Any) -> list[Any]:
    found: list[Any] = []
    # One step fewer than were read, so that no step causes a query.
    while parent is not None and parent.parent_id is not None and len(found) < len(_ABOVE) - 1:
        parent = parent.parent
        found.insert(0, parent)
    return found


def _later(run: TreeRun, parent_id: UUID | None, place: Sequence[int], failed: FailedChildren) -> list[Any]:
    """Return gather nodes, and the first failed nodes, of the pages after this one; at most ``MAX_LATER``."""
    _, number, pages = place
    return important(run, [parent_id], number * PAGE, failed)[:MAX_LATER] if number < pages else []


def _below(run: TreeRun, top: Sequence[Any], failed: FailedChildren) -> dict[UUID, list[Any]]:
    """Return the first children of each node, by parent, and important later ones.

    They are read by level, until ``MAX_ROWS`` is reached.
    """
    children: dict[UUID, list[Any]] = defaultdict(list)
    level, room = list(top), MAX_ROWS - len(top)
    for _ in range(MAX_LEVELS):
        parents = [node.id for node in level if node.child_count]
        if not parents or room <= 0:
            break
        wide = [node.id for node in level if node.child_count > MAX_CHILDREN]
        later = important(run, wide, MAX_CHILDREN, failed)[:room] if wide else []
        first = node_rows().filter(run_id=run.id, parent_id__in=parents, position__lt=MAX_CHILDREN)
        level = [*first.in_order()[: room - len(later)], *later]
        room -= len(level)
        for node in level:
            children[node.parent_id].append(node)
    return children


def _table(
    run: TreeRun, top: Siblings, children: Mapping[UUID, list[Any]], failed: FailedChildren
) -> list[TreeRow | GapRow]:
    """Return the rows in depth-first order."""
    rows: list[TreeRow | GapRow] = []
    waiting = [(node, 0) for node in reversed(top.with_gap(failed, 0))]
    while waiting:
        node, depth = waiting.pop()
        if isinstance(node, GapRow):
            rows.append(node)
            continue
        shown = children.get(node.id, [])
        rows.append(TreeRow(run, node, depth, max(node.child_count - len(shown), 0)))
        siblings = Siblings(node.id, shown, node.child_count, MAX_CHILDREN).with_gap(failed, depth + 1)
        waiting.extend((child, depth + 1) for child in reversed(siblings))
    return rows
