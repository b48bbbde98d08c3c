"""A page: the nodes of a run that are shown, and the number of those left out."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from uuid import UUID

from django_tasktree.management.display.nodes import NodeRow
from django_tasktree.reporting.failed_children import FailedChildren


@dataclass
class Page:
    """The nodes to show, by parent.

    Attributes:
        children: parent -> its shown children, in order; under None the topmost nodes.
        left_out: parent -> the number of its children that are not shown, if not 0; under None the root nodes.
        failed: parent -> how many of those failed or have a failed node below them, if not 0.
        failed_is_cut: whether there may be more of these than ``failed`` says.
        first: the number of first children that are shown of each node; None: any children may be shown.
    """

    children: dict[UUID | None, list[NodeRow]] = field(default_factory=dict)
    left_out: dict[UUID | None, int] = field(default_factory=dict)
    failed: dict[UUID | None, int] = field(default_factory=dict)
    failed_is_cut: bool = False
    first: int | None = None

    @classmethod
    def of(
        cls, rows: Iterable[NodeRow], roots: int, first: int | None = None, failed: FailedChildren | None = None
    ) -> "Page":
        """Return a page of nodes.

        Args:
            rows: the nodes, in any order; those whose parent is not among them are shown at the top.
            roots: the number of root nodes of the run.
            first: the number of first children that are shown of each node, besides gather nodes and failed ones.
            failed: the failed nodes of the run; None: they are not counted.
        """
        known = {row.id: row for row in rows}
        children: dict[UUID | None, list[NodeRow]] = defaultdict(list)
        for row in known.values():
            children[row.parent_id if row.parent_id in known else None].append(row)
        for siblings in children.values():
            siblings.sort(key=lambda row: row.order)
        left_out: dict[UUID | None, int] = {
            row.id: row.child_count - len(children.get(row.id, ())) for row in known.values()
        }
        left_out[None] = roots - sum(row.parent_id is None for row in known.values())
        page = cls(dict(children), {parent: number for parent, number in left_out.items() if number > 0}, first=first)
        if failed is not None and page.left_out:
            page._count(failed)
        return page

    @property
    def rows(self) -> list[NodeRow]:
        """All nodes of the page."""
        return [row for siblings in self.children.values() for row in siblings]

    def gap(self, parent: UUID | None) -> int:
        """Return the number of the shown children of a node that come before those that are left out.

        After these come failed nodes and gather nodes.
        """
        below = self.children.get(parent, ())
        return sum(not row.is_gather and (self.first is None or row.position < self.first) for row in below)

    def _count(self, failed: FailedChildren) -> None:
        for parent in self.left_out:
            number = failed.number(parent, without=[row.id for row in self.children.get(parent, ())])
            if number:
                self.failed[parent] = number
        self.failed_is_cut = failed.is_cut

    def walk(self) -> Iterator[tuple[NodeRow, int]]:
        """Yield each node with its depth on the page, parents before children."""
        stack = [(row, 0) for row in reversed(self.children.get(None, []))]
        while stack:
            row, depth = stack.pop()
            yield row, depth
            stack.extend((child, depth + 1) for child in reversed(self.children.get(row.id, [])))
