"""Delete runs that ended long ago, with their nodes, attempts and history.

Each run is deleted as a whole or not at all. Runs that are protected by rows of other apps are kept. Exit code 1: a run
could not be deleted for another reason.
"""

from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress

from django_tasktree.conf import settings
from django_tasktree.control.purge import old_runs, purge_runs, retention
from django_tasktree.engine.deletion.purge import AgeFilter, Kept, count_old
from django_tasktree.management.arguments import age
from django_tasktree.management.display.console import console_of
from django_tasktree.management.display.json import dumps
from django_tasktree.management.display.labels import counted as number_of
from django_tasktree.management.errors import usage_error
from django_tasktree.management.output_format import add_format_option
from django_tasktree.management.run_states import run_state_argument
from django_tasktree.states import RUN_FINAL, RunState

#: At most this many of the runs that were kept are listed.
_MAX_SHOWN = 10


def add_arguments(parser: CommandParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "--older-than",
        type=age,
        metavar="AGE",
        help="delete runs that ended at least this long ago: 30d, 12h, 90m; default: the setting RETENTION",
    )
    final = sorted(state.lower() for state in RUN_FINAL)
    parser.add_argument(
        "--state",
        type=run_state_argument(final),
        action="append",
        help=f"only runs in this state: {', '.join(final)}; may be repeated",
    )
    parser.add_argument("--keep-failed", action="store_true", help="keep runs that failed or were revoked")
    parser.add_argument("--task-results", action="store_true", help="also delete Celery's TaskResult rows of the nodes")
    parser.add_argument("--dry-run", action="store_true", help="only count what would be deleted")
    add_format_option(parser)


def handle(command: BaseCommand, options: dict[str, Any]) -> None:
    """Delete the runs; with ``--dry-run``, count them."""
    old = _old(options)
    console = console_of(command, options)
    counted = count_old(old)
    kept: list[Kept] = []
    if not options["dry_run"]:
        total = sum(number for _, number in counted.values())
        counted = {"deleted": _purge(old, options, console, total, kept)}
    if options["format"] == "json":
        console.print(dumps(_json(counted, kept, dry_run=options["dry_run"])), soft_wrap=True)
    else:
        for line in _lines(counted, kept, dry_run=options["dry_run"]):
            console.print(line, soft_wrap=True)
    if failed := [run for run in kept if run.error is not None]:
        raise CommandError(f"{number_of(len(failed), 'run')} could not be deleted: see the reasons above") from failed[
            0
        ].error


def _old(options: dict[str, Any]) -> AgeFilter:
    minimum: timedelta | None = options["older_than"]
    if minimum is None:
        minimum = retention()
    if minimum is None:
        raise usage_error(
            "--older-than is missing: give it, for example --older-than 30d, or set TASKTREE['RETENTION']"
        )
    states = frozenset(RunState(state) for state in options["state"] or RUN_FINAL)
    return old_runs(minimum, states, keep_failed=options["keep_failed"] or _keeps_failed(options))


def _keeps_failed(options: dict[str, Any]) -> bool:
    """Return whether the setting RETENTION_KEEP_FAILED applies: only if RETENTION does."""
    return options["older_than"] is None and bool(settings.retention_keep_failed)


def _purge(old: AgeFilter, options: dict[str, Any], console: Console, total: int, kept: list[Kept]) -> tuple[int, int]:
    runs = nodes = 0
    columns = (*Progress.get_default_columns(), MofNCompleteColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress:
        bar = progress.add_task("Deleting nodes", total=total)
        for step in purge_runs(old, task_results=options["task_results"]):
            runs, nodes = runs + step.runs, nodes + step.nodes
            kept += step.kept
            progress.advance(bar, step.nodes)
    return runs, nodes


def _json(counted: dict[str, tuple[int, int]], kept: list[Kept], *, dry_run: bool) -> dict[str, Any]:
    numbers: dict[str, Any] = {name: {"runs": runs, "nodes": nodes} for name, (runs, nodes) in counted.items()}
    return numbers if dry_run else {**numbers, "kept": {str(run.run_id): run.reason for run in kept}}


def _lines(counted: dict[str, tuple[int, int]], kept: list[Kept], *, dry_run: bool) -> list[str]:
    if not dry_run:
        runs, nodes = counted["deleted"]
        lines = [f"Deleted {number_of(runs, 'run')} with {number_of(nodes, 'node')}."]
        lines += [f"Kept run {run.run_id}: {run.reason}" for run in kept[:_MAX_SHOWN]]
        return [*lines, f"… and {number_of(len(kept) - _MAX_SHOWN, 'more run')}."] if len(kept) > _MAX_SHOWN else lines
    lines = [
        f"{state.lower()}: {number_of(runs, 'run')} with {number_of(nodes, 'node')}"
        for state, (runs, nodes) in counted.items()
    ]
    return [*lines, "Nothing was deleted: this is a dry run."] if lines else ["No runs match."]
