"""List the newest runs."""

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

_HEADINGS = ("ID", "Name", "State", "Done", "Total", "Failed", "Started", "Duration")
_NUMBERS = frozenset({3, 4, 5, 7})
#: An ID's first 13 characters are its time to the millisecond: nearly always enough to name a run.
_SHORT = 13


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
    """Lay the runs out; where the terminal is too narrow for whole IDs, with short ones."""
    rows = [_cells(run, progress[run.id]) for run in runs]
    lines = list(table_lines(_HEADINGS, rows, _NUMBERS))
    if console.is_terminal and max(line.cell_len for line in lines) > console.width:
        rows = [[key[:_SHORT], *others] for key, *others in rows]
        lines = list(table_lines(_HEADINGS, rows, _NUMBERS))
    return lines


def _cells(run: TreeRun, progress: Progress) -> list[Text]:
    started = "" if run.started_at is None else times.local(run.started_at).strftime("%Y-%m-%d %H:%M:%S")
    key = Text.assemble(str(run.id)[:_SHORT], (str(run.id)[_SHORT:], "bright_black"))
    return [
        key,
        Text(printable(str(run)), "bold"),
        run_state(run.state),
        Text(f"{progress.done:,}"),
        Text(f"{progress.total:,}"),
        Text(f"{progress.failed:,}", "red" if progress.failed else "bright_black"),
        Text(started),
        Text(duration_label(run.duration)),
    ]


def _states() -> list[str]:
    return [state.lower() for state in RunState.values]
