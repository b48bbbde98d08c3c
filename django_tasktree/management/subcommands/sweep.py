"""Mend what crashes, lost messages and lost workers have left behind.

One pass over everything, and what it has mended. Workers do the same by themselves.
"""

from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from django_tasktree.management.display.console import console_of
from django_tasktree.management.display.json_output import dumps
from django_tasktree.sweeping import Swept, sweep

_TOLD = {
    "requeued": "node(s) of lost workers run again",
    "failed": "node(s) of lost workers have failed",
    "resent": "lost message(s) were sent again",
    "parked": "node(s) of paused or ended runs were put back",
    "settled": "end(s) of nodes or runs were followed up",
    "advanced": "ready node(s) were queued",
    "launched": "draft(s) were due, and were launched",
    "overdue": "run(s) were stopped at their deadline",
    "purged": "old run(s) were deleted",
    "errors": "thing(s) could not be mended: the log says why",
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
        raise CommandError(f"{swept.errors} thing(s) could not be mended: the log says why")


def _lines(swept: Swept) -> list[str]:
    numbers = asdict(swept)
    return [f"{numbers[name]:,} {told}" for name, told in _TOLD.items() if numbers[name]] or [
        "There is nothing to mend."
    ]
