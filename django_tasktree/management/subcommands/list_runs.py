"""List the newest runs."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandParser
from rich.console import Console
from rich.text import Text

from django_tasktree.encoding import times
from django_tasktree.management.arguments import positive_int
from django_tasktree.management.display.console import console_of, width_of
from django_tasktree.management.display.json import dumps
from django_tasktree.management.display.labels import duration_label, printable
from django_tasktree.management.display.symbols import run_state
from django_tasktree.management.display.table import table_lines
from django_tasktree.management.output_format import add_format_option
from django_tasktree.management.run_states import run_state_argument
from django_tasktree.models import TreeRun
from django_tasktree.reporting.json import run_json
from django_tasktree.reporting.progress import Progress, progress_of_all
from django_tasktree.reporting.titles import short_id
from django_tasktree.states import RunState

_HEADINGS = ("ID", "Name", "State", "Nodes", "Failed", "Started", "Duration")
_NUMBERS = frozenset({"Nodes", "Failed", "Duration"})
_NAME = 1
#: Columns, and whether IDs and times are shortened: from the widest layout to the narrowest.
_LAYOUTS = (
    (_HEADINGS, False),
    (_HEADINGS, True),
    (("ID", "Name", "State", "Nodes", "Failed", "Duration"), True),
    (("ID", "Name", "State", "Nodes", "Duration"), True),
)
_SHORTEST_NAME = 8
#: Comes before the name of a run that a node of another run has started.
_SUB_RUN = "↳ "
#: Whether the listed runs have no parent, by the value of ``--sub-runs``; None: both.
_NO_PARENT = {"show": None, "hide": True, "only": False}


def add_arguments(parser: CommandParser) -> None:
    """Declare the options."""
    states = _states()
    parser.add_argument(
        "--state", type=run_state_argument(states), help=f"only runs in this state: {', '.join(states)}"
    )
    parser.add_argument(
        "--sub-runs",
        choices=["show", "hide", "only"],
        default="show",
        help="runs that a node of another run has started: with the others, not at all, or alone; default: show",
    )
    parser.add_argument("--limit", type=positive_int, default=20, metavar="N", help="number of runs; default: 20")
    add_format_option(parser)


def handle(command: BaseCommand, options: dict[str, Any]) -> None:
    """Print the runs; the number of queries does not depend on their number."""
    filters = {"state": options["state"], "parent_run_id__isnull": _NO_PARENT[options["sub_runs"]]}
    runs = TreeRun.objects.filter(**{name: value for name, value in filters.items() if value is not None})
    newest = list(runs.defer("returns")[: options["limit"]])
    progress = progress_of_all(newest)
    console = console_of(command, options)
    if options["format"] == "json":
        described = [{**run_json(run, progress[run.id]), "short_id": short_id(run.id)} for run in newest]
        console.print(dumps(described), soft_wrap=True)
    elif not newest:
        is_filtered = options["state"] or options["sub_runs"] != "show"
        console.print("No runs match." if is_filtered else "Nothing has been launched yet.")
    else:
        for line in _table(newest, progress, console):
            console.print(line, soft_wrap=True)


def _table(runs: list[TreeRun], progress: dict[UUID, Progress], console: Console) -> list[Text]:
    """Return the lines in the widest layout that fits the terminal; names are cut before a column is left out."""
    lines: list[Text] = []
    width = width_of(console)
    for headings, short in _LAYOUTS:
        rows = [_cells(run, progress[run.id], headings, short=short) for run in runs]
        lines = _lines(headings, rows)
        excess = 0 if width is None else _width(lines) - width
        if width is not None and excess > 0 and short:
            _cut_names(rows, excess)
            lines = _lines(headings, rows)
            excess = _width(lines) - width
        if excess <= 0:
            break
    return lines


def _lines(headings: Sequence[str], rows: list[list[Text]]) -> list[Text]:
    numbers = frozenset(index for index, heading in enumerate(headings) if heading in _NUMBERS)
    return list(table_lines(headings, rows, numbers))


def _cut_names(rows: list[list[Text]], excess: int) -> None:
    longest = max(row[_NAME].cell_len for row in rows)
    for row in rows:
        row[_NAME].truncate(max(longest - excess, _SHORTEST_NAME), overflow="ellipsis")


def _width(lines: list[Text]) -> int:
    return max(line.cell_len for line in lines)


def _cells(run: TreeRun, progress: Progress, headings: Sequence[str], *, short: bool) -> list[Text]:
    key = Text(short_id(run.id))
    if not short:
        key.append(str(run.id).removeprefix(key.plain), "bright_black")
    cells = {
        "ID": key,
        "Name": Text.assemble((_SUB_RUN if run.is_sub_run else "", "bright_black"), (printable(str(run)), "bold")),
        "State": run_state(run.state),
        "Nodes": Text(_nodes(progress)),
        "Failed": Text(f"{progress.failed:,}", "red" if progress.failed else "bright_black"),
        "Started": Text(_started(run, short=short)),
        "Duration": Text(duration_label(run.duration)),
    }
    return [cells[heading] for heading in headings]


def _nodes(progress: Progress) -> str:
    """Return the number of nodes; while nodes are unfinished, also the number of finished ones: ``3/20``."""
    total = f"{progress.total:,}"
    return total if progress.done == progress.total else f"{progress.done:,}/{total}"


def _started(run: TreeRun, *, short: bool) -> str:
    """Return the start time of a run; if short, only the time for today and only the date for other days."""
    if run.started_at is None:
        return ""
    at, now = times.local(run.started_at), times.local(times.now())
    if not short:
        return at.strftime("%Y-%m-%d %H:%M:%S")
    return at.strftime("%H:%M:%S" if at.date() == now.date() else "%Y-%m-%d")


def _states() -> list[str]:
    return [state.lower() for state in RunState.values]
