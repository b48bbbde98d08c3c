"""The children that a table shows although they come after many others: gather nodes, and some that failed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django_tasktree.admin.tree.row import GapRow, node_rows
from django_tasktree.models import TreeRun
from django_tasktree.reporting.failed_children import FailedChildren

#: The maximum number of failed children of a node that are shown although they come later, and of later nodes in total.
MAX_FAILED, MAX_LATER = 3, 50


@dataclass(frozen=True)
class Siblings:
    """The children of a node that the table shows.

    Attributes:
        parent_id: the node; None: the run.
        shown: the children, in order.
        number: the number of all children.
        end: the position from which on children are only shown if they are gather nodes, or failed ones.
    """

    parent_id: UUID | None
    shown: list[Any]
    number: int
    end: int

    def with_gap(self, failed: FailedChildren, depth: int) -> list[Any]:
        """Return the children, with a gap before those after ``end``, if there are some."""
        before = sum(node.position < self.end for node in self.shown)
        left_out = self.number - len(self.shown)
        if before == len(self.shown) or left_out <= 0:
            return self.shown
        number = failed.number(self.parent_id, without=[node.id for node in self.shown])
        gap = GapRow(self.parent_id, depth, left_out, number, failed.is_cut)
        return [*self.shown[:before], gap, *self.shown[before:]]


def important(run: TreeRun, parents: Sequence[UUID | None], end: int, failed: FailedChildren) -> list[Any]:
    """Return those children of nodes that are gather nodes, and the first ones that failed, in order.

    Args:
        run: the run.
        parents: the nodes; or only None, for the run.
        end: only children with this position or a greater one.
        failed: the failed nodes of the run.
    """
    of_run = node_rows().filter(run_id=run.id)
    under = of_run.under(run.id, None) if None in parents else of_run.filter(parent_id__in=parents)
    # MySQL and MariaDB use the index that begins with ``settled`` if all of its values are listed.
    gather = under.filter(is_gather=True, settled__in=[True, False], position__gte=end)
    found = {node.id: node for node in gather.in_order()[:MAX_LATER]}
    keys = {key for parent in parents for key in failed.beyond(parent, end, MAX_FAILED)} - found.keys()
    if keys:
        found |= {node.id: node for node in of_run.filter(id__in=keys)}
    return sorted(found.values(), key=lambda node: node.position)
