"""The history of a run: the actions that people and programs requested."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from uuid import UUID

from rich.text import Text

from django_tasktree.encoding import times
from django_tasktree.management.display.labels import counted, printable
from django_tasktree.models import HistoryEntry


def history_lines(entries: Iterable[HistoryEntry], paths: Mapping[UUID, str]) -> Iterator[Text]:
    """Yield a line for each entry, in the given order.

    Args:
        entries: the entries.
        paths: ID of a node -> its path; nodes without one are named by their IDs.
    """
    for entry in entries:
        at = times.local(entry.at).strftime("%Y-%m-%d %H:%M:%S")
        line = Text.assemble((f"{at}  ", "bright_black"), str(entry.get_action_display()))
        if entry.node_id is not None:
            line.append(f" of node {printable(paths.get(entry.node_id, str(entry.node_id)))}")
        if entry.nodes or entry.state_before:
            line.append(f", {counted(entry.nodes, 'node')}{_how_far(entry)}")
        if entry.actor:
            line.append(f", by {printable(entry.actor)}")
        if entry.note:
            line.append(f": {printable(entry.note)}")
        yield line


def _how_far(entry: HistoryEntry) -> str:
    return " so far" if entry.is_going else ", then aborted" if entry.was_aborted else ""


def entry_json(entry: HistoryEntry, paths: Mapping[UUID, str]) -> dict[str, Any]:
    """Return an entry as a dict for JSON; ``state`` is ``"going"``, ``"aborted"`` or ``"done"``."""
    return {
        "action": entry.action,
        "node": None if entry.node_id is None else str(entry.node_id),
        "path": None if entry.node_id is None else paths.get(entry.node_id),
        "by": entry.actor,
        "at": times.for_json(entry.at),
        "nodes": entry.nodes,
        "state": "going" if entry.is_going else "aborted" if entry.was_aborted else "done",
        "note": entry.note,
    }
