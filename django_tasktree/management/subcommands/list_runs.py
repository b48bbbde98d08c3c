"""List the newest runs."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandParser
from rich.console import Console
from rich.text import Text

from django_tasktree import times
from django_tasktree.management.arguments import positive_int
from django_tasktree.management.display.console import console_of
from django_tasktree.management.display.json_output import dumps
from django_tasktree.management.display.labels import duration_label, printable
from django_tasktree.management.display.symbols import run_state
from django_tasktree.management.display.table import table_lines
from django_tasktree.management.subcommands.states import run_state_argument
from django_tasktree.models import TreeRun
from django_tasktree.progress import Progress, progress_of_all
from django_tasktree.run_json import run_json
from django_tasktree.states import RunState

_HEADINGS = ("ID", "Name", "State", "Nodes", "Failed", "Started", "Duration")
_NUMBERS = frozenset({"Nodes", "Failed", "Duration"})
_NAME = 1
#: The columns, and whether IDs and times are short: from what is shown where there is room to the least.
_LAYOUTS = (
    (_HEADINGS, False),
    (_HEADINGS, True),
    (("ID", "Name", "State", "Nodes", "Failed", "Duration"), True),
    (("ID", "Name", "State", "Nodes", "Duration"), True),
)
#: An ID's first 13 characters are its time to the millisecond: nearly always enough to name a run.
_SHORT = 13
_SHORTEST_NAME = 8


def add_arguments(parser: CommandParser) -> None:
    """Declare the options."""
    states = _states()
    parser.add_argument(
        "--state", type=run_state_argument(states), help=f"only runs in this state: {', '.join(states)}"
    )
    parser.add_argument("--limit", type=positive_int, default=20, metavar="N", help="so many runs; by default 20")
    parser.add_argument("--format", choices=["text", "json"], default="text")


def handle(command: BaseCommand, options: dict[str, Any]) -> None:
    """Print the runs, in two queries."""
    runs = TreeRun.objects.all() if options["state"] is None else TreeRun.objects.filter(state=options["state"])
    newest = list(runs[: options["limit"]])
    progress = progress_of_all(newest)
    console = console_of(command, options)
    if options["format"] == "json":
        described = [{**run_json(run, progress[run.id]), "short_id": str(run.id)[:_SHORT]} for run in newest]
        console.print(dumps(described), soft_wrap=True)
    elif not newest:
        console.print("There are no such runs." if options["state"] else "Nothing has been launched yet.")
    else:
        for line in _table(newest, progress, console):
            console.print(line, soft_wrap=True)


def _table(runs: list[TreeRun], progress: dict[UUID, Progress], console: Console) -> list[Text]:
    """Lay the runs out; where the terminal is too narrow, with less and less of them."""
    lines: list[Text] = []
    for headings, short in _LAYOUTS:
        rows = [_cells(run, progress[run.id], headings, short=short) for run in runs]
        lines = _lines(headings, rows)
        too_much = _width(lines) - console.width if console.is_terminal else 0
        if too_much > 0 and short:
            _cut_names(rows, too_much)
            lines = _lines(headings, rows)
            too_much = _width(lines) - console.width
        if too_much <= 0:
            break
    return lines


def _lines(headings: Sequence[str], rows: list[list[Text]]) -> list[Text]:
    numbers = frozenset(index for index, heading in enumerate(headings) if heading in _NUMBERS)
    return list(table_lines(headings, rows, numbers))


def _cut_names(rows: list[list[Text]], too_much: int) -> None:
    longest = max(row[_NAME].cell_len for row in rows)
    for row in rows:
        row[_NAME].truncate(max(longest - too_much, _SHORTEST_NAME), overflow="ellipsis")


def _width(lines: list[Text]) -> int:
    return max(line.cell_len for line in lines)


def _cells(run: TreeRun, progress: Progress, headings: Sequence[str], *, short: bool) -> list[Text]:
    key = Text(str(run.id)[:_SHORT])
    if not short:
        key.append(str(run.id)[_SHORT:], "bright_black")
    cells = {
        "ID": key,
        "Name": Text(printable(str(run)), "bold"),
        "State": run_state(run.state),
        "Nodes": Text(_nodes(progress)),
        "Failed": Text(f"{progress.failed:,}", "red" if progress.failed else "bright_black"),
        "Started": Text(_started(run, short=short)),
        "Duration": Text(duration_label(run.duration)),
    }
    return [cells[heading] for heading in headings]


def _nodes(progress: Progress) -> str:
    """Count the nodes; of a run that goes on also those that are done."""
    total = f"{progress.total:,}"
    return total if progress.done == progress.total else f"{progress.done:,}/{total}"


def _started(run: TreeRun, *, short: bool) -> str:
    """Show when a run was started; shortly: today the time, else the day."""
    if run.started_at is None:
        return ""
    at, now = times.local(run.started_at), times.local(times.now())
    if not short:
        return at.strftime("%Y-%m-%d %H:%M:%S")
    return at.strftime("%H:%M:%S" if at.date() == now.date() else "%Y-%m-%d")


def _states() -> list[str]:
    return [state.lower() for state in RunState.values]
