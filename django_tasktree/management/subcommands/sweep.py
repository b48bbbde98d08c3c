"""Mend what crashes, lost messages and lost workers have left behind.

One pass over everything, and what it has mended. Workers do the same by themselves.
"""

from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from django_tasktree.management.display.console import console_of
from django_tasktree.management.display.json_output import dumps
from django_tasktree.management.display.labels import counted
from django_tasktree.sweeping import Swept, sweep

_LABELS = {
    "requeued": "Nodes of lost workers that run again",
    "failed": "Nodes of lost workers that have failed",
    "resent": "Lost messages that were sent again",
    "parked": "Nodes of paused or ended runs that were put back",
    "settled": "Ends of nodes or runs that were followed up",
    "advanced": "Runs whose ready nodes were queued",
    "launched": "Drafts that were due and were launched",
    "overdue": "Runs that were stopped at their deadline",
    "purged": "Old runs that were deleted",
    "errors": "Errors, explained in the log",
}


def add_arguments(parser: CommandParser) -> None:
    """Declare the options."""
    parser.add_argument("--format", choices=["text", "json"], default="text")


def handle(command: BaseCommand, options: dict[str, Any]) -> None:
    """Make a pass; exit code 1 where something could not be mended."""
    swept = sweep()
    console = console_of(command, options)
    if options["format"] == "json":
        console.print(dumps(asdict(swept)), soft_wrap=True)
    else:
        for line in _lines(swept):
            console.print(line, soft_wrap=True)
    if swept.errors:
        raise CommandError(f"{counted(swept.errors, 'error')}: see the log")


def _lines(swept: Swept) -> list[str]:
    numbers = asdict(swept)
    return [f"{label}: {numbers[name]:,}" for name, label in _LABELS.items() if numbers[name]] or [
        "There is nothing to mend."
    ]
