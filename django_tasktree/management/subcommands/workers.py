"""List running workers and recently lost ones."""

from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from rich.text import Text

from django_tasktree.encoding import times
from django_tasktree.management.display.console import console_of
from django_tasktree.management.display.json import dumps
from django_tasktree.management.display.labels import duration_label, printable
from django_tasktree.management.display.table import table_lines
from django_tasktree.management.output_format import add_format_option
from django_tasktree.reporting.workers import ListedWorker, listed_workers

_HEADINGS = ("Worker", "State", "Runs", "Pool", "Slots", "Queues", "Started", "Last seen")
_NUMBERS = frozenset({2, 4})


def add_arguments(parser: CommandParser) -> None:
    """Declare the options."""
    add_format_option(parser)


def handle(command: BaseCommand, options: dict[str, Any]) -> None:
    """Print the workers; three queries."""
    listed = listed_workers()
    console = console_of(command, options)
    if options["format"] == "json":
        console.print(dumps([_json(worker) for worker in listed]), soft_wrap=True)
    elif not listed:
        console.print("No worker is running: start one with django_tasktree in its INSTALLED_APPS.")
    else:
        for line in table_lines(_HEADINGS, [_cells(worker) for worker in listed], _NUMBERS):
            console.print(line, soft_wrap=True)


def _cells(worker: ListedWorker) -> list[Text]:
    row = worker.row
    state = Text("● alive", "green") if worker.is_alive else Text("✘ lost", "bold red")
    started = times.local(row.started_at).strftime("%Y-%m-%d %H:%M:%S")
    return [
        Text(printable(row.hostname), "bold"),
        state,
        Text(f"{worker.running:,}"),
        Text(printable(row.pool)),
        Text("" if row.concurrency is None else f"{row.concurrency:,}"),
        Text(printable(", ".join(row.queues))),
        Text(started),
        Text(_ago(worker.silent_for)),
    ]


def _ago(silent_for: timedelta) -> str:
    return "now" if silent_for < timedelta(seconds=1) else f"{duration_label(silent_for)} ago"


def _json(worker: ListedWorker) -> dict[str, Any]:
    row = worker.row
    return {
        "id": str(row.id),
        "hostname": row.hostname,
        "pid": row.pid,
        "alive": worker.is_alive,
        "running": worker.running,
        "pool": row.pool,
        "concurrency": row.concurrency,
        "queues": row.queues,
        "started_at": times.for_json(row.started_at),
        "last_seen": times.for_json(row.last_seen),
    }
