"""What was asked of a run, and by whom."""

from collections.abc import Iterable, Iterator
from typing import Any

from rich.text import Text

from django_tasktree import times
from django_tasktree.management.display.labels import counted, printable
from django_tasktree.models import HistoryEntry


def history_lines(entries: Iterable[HistoryEntry]) -> Iterator[Text]:
    """Tell what was asked, the oldest first."""
    for entry in entries:
        at = times.local(entry.at).strftime("%Y-%m-%d %H:%M:%S")
        line = Text.assemble((f"{at}  ", "bright_black"), str(entry.get_action_display()))
        if entry.node_id is not None:
            line.append(f" of node {entry.node_id}")
        if entry.nodes:
            line.append(f", {counted(entry.nodes, 'node')}")
        if entry.actor:
            line.append(f", by {printable(entry.actor)}")
        if entry.note:
            line.append(f": {printable(entry.note)}")
        yield line


def entry_json(entry: HistoryEntry) -> dict[str, Any]:
    """Describe one."""
    return {
        "action": entry.action,
        "node": None if entry.node_id is None else str(entry.node_id),
        "by": entry.actor,
        "at": times.for_json(entry.at),
        "nodes": entry.nodes,
        "note": entry.note,
    }
