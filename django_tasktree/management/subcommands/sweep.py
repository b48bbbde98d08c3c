"""Repair the effects of crashes, lost messages and lost workers.

Makes one pass over everything and prints what it repaired. Workers make such passes automatically.
"""

from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from django_tasktree.management.display.console import console_of
from django_tasktree.management.display.json import dumps
from django_tasktree.management.display.labels import counted
from django_tasktree.management.output_format import add_format_option
from django_tasktree.recovery.report import SweepReport
from django_tasktree.recovery.sweep import sweep

_LABELS = {
    "requeued": "Nodes of lost workers queued again",
    "failed": "Nodes of lost workers failed",
    "resent": "Lost messages sent again",
    "deferred": "Nodes of paused or ended runs taken out of the queue",
    "settled": "Finished nodes and runs settled",
    "advanced": "Runnable nodes queued",
    "launched": "Drafts launched at their start time",
    "overdue": "Runs stopped at their deadline",
    "expired": "Waits whose time had passed",
    "answered": "Waits whose event had come",
    "announced": "Waits announced late",
    "reminded": "Reminders of waits",
    "continued": "Interrupted actions continued",
    "purged": "Old runs deleted",
    "errors": "Errors (see the log)",
}


def add_arguments(parser: CommandParser) -> None:
    """Declare the options."""
    add_format_option(parser)


def handle(command: BaseCommand, options: dict[str, Any]) -> None:
    """Make one pass; exit code 1 if something could not be repaired."""
    report = sweep()
    console = console_of(command, options)
    if options["format"] == "json":
        console.print(dumps(asdict(report)), soft_wrap=True)
    else:
        for line in _lines(report):
            console.print(line, soft_wrap=True)
    if report.errors:
        raise CommandError(f"{counted(report.errors, 'error')} during the sweep: the log has the details")


def _lines(report: SweepReport) -> list[str]:
    numbers = asdict(report)
    return [f"{label}: {numbers[name]:,}" for name, label in _LABELS.items() if numbers[name]] or [
        "There is nothing to repair."
    ]
