"""Read the topmost nodes of a run, with limits on levels, children of each node and the total."""

from uuid import UUID

from django_tasktree.management.display.nodes import NodeRow, nodes_of, read
from django_tasktree.management.display.page import Page
from django_tasktree.models import NodeRun


def top_page(run_id: UUID, top: UUID | None = None, *, depth: int, per_parent: int, total: int) -> Page:
    """Return the topmost nodes, read in one query for each level and one more.

    Args:
        run_id: the run.
        top: the node with which the page begins; None: the root nodes.
        depth: the maximum number of levels.
        per_parent: the maximum number of children of each node.
        total: the maximum number of nodes.
    """
    page_of_each = nodes_of(run_id).filter(position__lt=per_parent).order_by("parent_id", "position")
    shown: list[NodeRow] = []
    roots = page_of_each.filter(parent__isnull=True)
    level = read(roots[:total] if top is None else nodes_of(run_id).filter(id=top))
    while level:
        shown.extend(level)
        depth -= 1
        parents = [row.id for row in level if row.child_count]
        if not (parents and depth and len(shown) < total):
            break
        level = read(page_of_each.filter(parent_id__in=parents)[: total - len(shown)])
    return Page.of(shown, NodeRun.objects.root_count(run_id) if top is None else 0)
