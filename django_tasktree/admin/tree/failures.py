"""The first errors of a run."""

from typing import Any
from uuid import UUID

from django_tasktree.admin.tree.page import place_in_tree
from django_tasktree.encoding import times
from django_tasktree.models import NodeRun, TreeRun
from django_tasktree.reporting.node_columns import with_heads
from django_tasktree.reporting.node_paths import paths_of
from django_tasktree.reporting.query_cache import recent
from django_tasktree.states import NodeState

#: The maximum number of errors.
MAX_FAILURES = 10
#: The maximum number of failed nodes that are compared: if there are more, an earlier one may be missing.
MAX_COMPARED = 5_000
_COLUMNS = ("run_id", "parent_id", "position", "label", "task", "error_type", "finished_at")


def first_failures(run: TreeRun, site: str) -> list[Any]:
    """Return the nodes that failed first, because later errors are often only consequences.

    Args:
        run: the run.
        site: the name of the admin site, for links.

    Returns:
        The nodes, with more attributes: ``head_of_error_message``; ``path``, the path, or None; and ``place``, the link
        to the node in the tree.
    """
    keys = keys_of_first_failures(run)
    if not keys:
        return []
    failed = NodeRun.objects.filter(id__in=keys, run_id=run.id, state=NodeState.FAILURE).only(*_COLUMNS)
    found: list[Any] = sorted(with_heads(failed, "error_message"), key=lambda row: keys.index(row.id))
    paths = paths_of(row.id for row in found)
    for row in found:
        row.path = paths.get(row.id)
        row.place = place_in_tree(row, site)
    return found


def keys_of_first_failures(run: TreeRun) -> list[UUID]:
    """Return the IDs of the nodes that failed first, by finish time. The result may be a few seconds old (cached)."""

    def find() -> list[UUID]:
        failed = NodeRun.objects.filter(run_id=run.id, state=NodeState.FAILURE).order_by()
        ends = failed.values_list("finished_at", "id")[:MAX_COMPARED]
        first = sorted((times.instant(end).timestamp() if end else 0.0, key) for end, key in ends)
        return [key for _, key in first[:MAX_FAILURES]]

    found: list[UUID] = recent(("failures", run.id, run.state), find)
    return found
