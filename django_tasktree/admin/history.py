"""What was asked of a run, or of one of its nodes."""

from dataclasses import dataclass
from typing import Any

from django.utils.safestring import SafeString

from django_tasktree.admin import rendering
from django_tasktree.models import HistoryEntry, NodeRun, TreeRun
from django_tasktree.text import short_name

#: So many are shown: the latest.
MOST = 50


@dataclass(frozen=True)
class Line:
    """One thing that was asked for."""

    entry: HistoryEntry

    @property
    def at(self) -> SafeString | str:
        """When."""
        return rendering.moment(self.entry.at)

    @property
    def node(self) -> Any:
        """The node that it was asked of; None where it was the whole run."""
        return self.entry.node

    @property
    def node_name(self) -> str:
        """The last part of its task's name."""
        return "" if self.entry.node is None else short_name(self.entry.node.task)


def history_of(run: TreeRun, node: NodeRun | None = None) -> list[Line]:
    """Read the history, the newest first.

    Args:
        run: of this run, with its nodes.
        node: of this node alone.
    """
    entries = HistoryEntry.objects.filter(run_id=run.id)
    if node is not None:
        entries = entries.filter(node_id=node.id)
    found = entries.select_related("node").only(*_COLUMNS).order_by("-id")
    return [Line(entry) for entry in found[:MOST]]


_COLUMNS = ("run_id", "action", "actor", "at", "nodes", "note", "cause", "node__task")
