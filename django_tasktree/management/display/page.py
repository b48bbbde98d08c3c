"""A page: the nodes of a run that are shown, and the number of those left out."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from uuid import UUID

from django_tasktree.management.display.nodes import NodeRow


@dataclass
class Page:
    """The nodes to show, by parent.

    Attributes:
        children: parent -> its shown children, in order; under None the topmost nodes.
        left_out: parent -> the number of its children that are not shown, if not 0; under None the root nodes.
    """

    children: dict[UUID | None, list[NodeRow]] = field(default_factory=dict)
    left_out: dict[UUID | None, int] = field(default_factory=dict)

    @classmethod
    def of(cls, rows: Iterable[NodeRow], roots: int) -> "Page":
        """Return a page of nodes.

        Args:
            rows: the nodes, in any order; those whose parent is not among them are shown at the top.
            roots: the number of root nodes of the run.
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
        return cls(dict(children), {parent: number for parent, number in left_out.items() if number > 0})

    def walk(self) -> Iterator[tuple[NodeRow, int]]:
        """Yield each node with its depth on the page, parents before children."""
        stack = [(row, 0) for row in reversed(self.children.get(None, []))]
        while stack:
            row, depth = stack.pop()
            yield row, depth
            stack.extend((child, depth + 1) for child in reversed(self.children.get(row.id, [])))
