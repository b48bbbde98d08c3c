"""The history of a run or node: the actions on it."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.utils.safestring import SafeString

from django_tasktree.admin import rendering
from django_tasktree.models import HistoryEntry, NodeRun, TreeRun
from django_tasktree.models.history_entry import Action
from django_tasktree.reporting.node_paths import titles_of

#: The maximum number of entries, the latest ones.
MAX_ENTRIES = 50


@dataclass(frozen=True)
class Line:
    """An entry of the history, without nodes that the user may not see.

    Attributes:
        entry: the entry.
        shows_nodes: whether the user may see nodes.
        node_name: the title of ``node``; empty if there is none.
    """

    entry: HistoryEntry
    shows_nodes: bool
    node_name: str

    @property
    def at(self) -> SafeString | str:
        """The time of the entry as HTML."""
        return rendering.moment(self.entry.at)

    @property
    def is_event(self) -> bool:
        """Whether an event was sent, whose name is the note."""
        return self.entry.action == Action.EVENT

    @property
    def node(self) -> Any:
        """The node on which the action was; None if it was on the whole run, or if the user may not see nodes."""
        return self.entry.node if self.shows_nodes else None

    @property
    def cause(self) -> UUID | None:
        """The ID of the node that requested the action in the background; None if none did, or nodes are hidden."""
        return self.entry.cause if self.shows_nodes else None


def history_of(run: TreeRun, node: NodeRun | None = None, *, shows_nodes: bool = True) -> list[Line]:
    """Return the history, the newest entry first.

    Args:
        run: the run; entries of its nodes are included.
        node: a node of the run; only its entries are returned.
        shows_nodes: whether the user may see nodes; if not, the entries do not name them.
    """
    entries = HistoryEntry.objects.filter(run_id=run.id)
    if node is not None:
        entries = entries.filter(node_id=node.id)
    found = list(entries.select_related("node").only(*_COLUMNS).order_by("-id")[:MAX_ENTRIES])
    titles = titles_of(entry.node for entry in found if shows_nodes and entry.node is not None)
    return [Line(entry, shows_nodes, titles.get(entry.node_id, "") if entry.node_id else "") for entry in found]


_COLUMNS = (
    "run_id",
    "action",
    "actor",
    "at",
    "nodes",
    "note",
    "cause",
    "last_batch_at",
    "state_before",
    "node__task",
    "node__label",
)
