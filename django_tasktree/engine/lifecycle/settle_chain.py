"""Settle a chain of single-child ancestors in a few queries, where single steps take two queries each."""

from collections import defaultdict
from uuid import UUID

from django.db.models import Count

from django_tasktree.engine.backends import backend
from django_tasktree.engine.rules import FAILURE_COUNTS, IS_UNSETTLED
from django_tasktree.engine.transitions import nodes
from django_tasktree.models import NodeRun

#: How many ancestors are read at a time.
REACH = 500


def settle_chain(run_id: UUID, node_id: UUID, *, failed: bool) -> tuple[UUID | None, bool]:
    """Settle a node and its ancestors, as long as each has nothing unsettled under it except the previous one.

    Args:
        run_id: the run.
        node_id: the lowest node.
        failed: whether a child of this node has just failed.

    Returns:
        The node at which to continue with single steps: the parent of the last settled node, or ``node_id`` if no
        node was settled or one has changed; None above a root node. And whether a child of that node has just failed.
    """
    line = _only_children(run_id, backend().line_up(node_id, REACH))
    if not line:
        return node_id, failed
    failing = set(
        nodes()
        .filter(run_id=run_id, parent__in=[node.id for node in line], subtree_failed=True)
        .values_list("parent_id", flat=True)
    )
    groups: dict[tuple[bool, int, int], list[UUID]] = defaultdict(list)
    fails = False
    for node in line:
        fails = fails or FAILURE_COUNTS.holds(node) or node.id in failing
        groups[fails, node.child_count, node.revision].append(node.id)
    marked = sum(
        nodes()
        .filter(id__in=ids, settled=False, child_count=child_count, revision=revision)
        .update(settled=True, subtree_failed=fails)
        for (fails, child_count, revision), ids in groups.items()
    )
    # If one of them has changed in the meantime, the single steps find out which.
    return (line[-1].parent_id, fails) if marked == len(line) else (node_id, failed)


def _only_children(run_id: UUID, line: list[NodeRun]) -> list[NodeRun]:
    """Return the chain up to the first node that has something else unsettled under it, or tolerates failures."""
    unsettled = nodes().filter(IS_UNSETTLED.q(), run_id=run_id, parent__in=[node.id for node in line])
    counts = dict(unsettled.order_by().values_list("parent_id").annotate(n=Count("*")))
    for index, node in enumerate(line):
        if counts.get(node.id, 0) != (1 if index else 0) or node.tolerated is not None:
            return line[:index]
    return line
