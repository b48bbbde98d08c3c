"""The errors of a run."""

from typing import Any

from django.db.models.functions import Substr

from django_tasktree.admin.tree_page import place_in_tree
from django_tasktree.models import NodeRun, TreeRun
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
    failed = NodeRun.objects.filter(run_id=run.id, state=NodeState.FAILURE).order_by("finished_at")
    rows: Any = failed.only(*_COLUMNS).annotate(message=Substr("error_message", 1, _HEAD))[:MOST]
    found = list(rows)
    for row in found:
        row.place = place_in_tree(row, site)
    return found
