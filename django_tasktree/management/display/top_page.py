"""The nodes of a run from the top down: so many of each parent, so many levels, so many in all."""

from uuid import UUID

from django_tasktree.management.display.page import Page
from django_tasktree.management.display.rows import NodeRow, nodes_of, read
from django_tasktree.models import NodeRun


def top_page(run_id: UUID, *, depth: int, per_parent: int, in_all: int) -> Page:
    """Read the topmost nodes, in one query a level and one more.

    Args:
        run_id: the run.
        depth: how many levels.
        per_parent: how many children of each node.
        in_all: how many nodes.
    """
    page_of_each = nodes_of(run_id).filter(position__lt=per_parent).order_by("parent_id", "position")
    shown: list[NodeRow] = []
    level = read(page_of_each.filter(parent__isnull=True)[:in_all])
    while level:
        shown.extend(level)
        depth -= 1
        parents = [row.id for row in level if row.child_count]
        if not (parents and depth and len(shown) < in_all):
            break
        level = read(page_of_each.filter(parent_id__in=parents)[: in_all - len(shown)])
    return Page.of(shown, NodeRun.objects.under(run_id, None).count())
