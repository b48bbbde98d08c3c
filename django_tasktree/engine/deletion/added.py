"""Delete nodes that were added at run time, with everything below them."""

from uuid import UUID

from django.db.models import Count, F

from django_tasktree.engine.deletion.rows import delete_nodes
from django_tasktree.engine.transitions import nodes
from django_tasktree.engine.traversal import in_batches, levels_below


def added_at_runtime(affected: list[UUID]) -> set[UUID]:
    """Return the nodes that tasks added below some nodes, with all nodes below those.

    Args:
        affected: whole subtrees, each node after its ancestors.
    """
    within = set(affected)
    added: set[UUID] = set()
    for batch in in_batches(iter(affected)):
        rows = {
            key: rest for key, *rest in nodes().filter(id__in=batch).values_list("id", "parent_id", "added_at_runtime")
        }
        for key in batch:
            parent_id, is_added = rows.get(key, (None, False))
            if parent_id in added or (is_added and parent_id in within):
                added.add(key)
    return added


def remove_added(run_id: UUID, ids: list[UUID]) -> int:
    """Delete nodes that tasks added, and what was added below them since they were read; count them off their parents.

    Call it with the run locked, so that nothing is added below them from now on.

    Args:
        run_id: the run.
        ids: nodes that :func:`added_at_runtime` returned; those that have children after these.

    Returns:
        The number of deleted nodes.

    Raises:
        NotPossible: if rows of other apps prevent the deletion of a node.
    """
    gone = nodes().filter(id__in=ids, added_at_runtime=True).order_by().values_list("parent_id").annotate(n=Count("*"))
    for parent_id, number in list(gone):
        nodes().filter(id=parent_id).update(child_count=F("child_count") - number)
    levels = list(levels_below(run_id, ids))
    deleted = [key for level in reversed(levels) for key in level] + ids
    delete_nodes(deleted)
    return len(deleted)
