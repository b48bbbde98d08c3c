"""The errors of a run."""

from typing import Any
from uuid import UUID

from django.db.models.functions import Substr

from django_tasktree.admin.tree_page import place_in_tree
from django_tasktree.models import NodeRun, TreeRun
from django_tasktree.recent import recent
from django_tasktree.states import NodeState

#: How many are shown, and how many characters of each message.
MOST, _HEAD = 10, 500
_COLUMNS = ("run_id", "parent_id", "position", "task", "error_type", "finished_at")


def first_failures(run: TreeRun, site: str) -> list[Any]:
    """Read the nodes that failed first: later errors are often only consequences.

    Args:
        run: the run.
        site: the name of the admin site, for links.

    Returns:
        The nodes, each with the beginning of its ``message`` and its ``place`` in the tree.
    """
    keys = keys_of_first_failures(run)
    if not keys:
        return []
    failed = NodeRun.objects.filter(id__in=keys, run_id=run.id, state=NodeState.FAILURE).only(*_COLUMNS)
    found: list[Any] = sorted(
        failed.annotate(message=Substr("error_message", 1, _HEAD)), key=lambda row: keys.index(row.id)
    )
    for row in found:
        row.place = place_in_tree(row, site)
    return found


def keys_of_first_failures(run: TreeRun) -> list[UUID]:
    """Find the keys of the nodes that failed first, in their order; see :mod:`django_tasktree.recent`."""

    def find() -> list[UUID]:
        failed = NodeRun.objects.filter(run_id=run.id, state=NodeState.FAILURE)
        return list(failed.order_by("finished_at").values_list("id", flat=True)[:MOST])

    found: list[UUID] = recent(("failures", run.id, run.state), find)
    return found
