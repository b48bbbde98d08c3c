"""Follow a run until it ends."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.db.models import Exists, OuterRef, Q

from django_tasktree.exceptions import RunNotFound, WaitTimeout
from django_tasktree.management.arguments import seconds
from django_tasktree.management.errors import usage_error
from django_tasktree.management.follow import follow
from django_tasktree.management.lookup_by_id import find_run
from django_tasktree.management.output_format import add_format_option
from django_tasktree.management.run_report import RunReport
from django_tasktree.models import NodeRun, TreeRun
from django_tasktree.states import ACTIVE, RUN_OPEN, NodeState, RunState

_ID = "the run's ID, or its beginning; default: the newest run that is active, or else has not ended"


def add_arguments(parser: CommandParser) -> None:
    """Declare the options."""
    parser.add_argument("id", nargs="?", metavar="ID", help=_ID)
    parser.add_argument("--timeout", type=seconds, metavar="S", help="stop following after S seconds; exit code 1")
    add_format_option(parser)


def handle(command: BaseCommand, options: dict[str, Any]) -> None:
    """Show the run until it ends.

    Exit codes: 0: it succeeded; 1: it failed, or had not ended in time; 130: Ctrl-C, the run continues.
    """
    report = RunReport(command, {**options, "no_wait": False, "worker": False})
    if options["id"] is None:
        run = _newest()
        report.note(f"Following run {run.id} of {run}")
    else:
        run = find_run(options["id"])
    report.follows(run)
    try:
        run = follow(report.view(run.id), timeout=options["timeout"], check=lambda: None)
    except RunNotFound as exc:
        raise usage_error(str(exc)) from exc
    except WaitTimeout as exc:
        report.timed_out(exc)
    except KeyboardInterrupt:
        report.detached()
    else:
        report.ended(run)
    report.leave()


def _newest() -> TreeRun:
    """Return the newest run that has not ended: one with nodes that are queued or running, if there is one."""
    # A sub-run is a part of the run that waits for it.
    moving = Q(state__in=ACTIVE) | Q(state=NodeState.WAITING, sub_run_id__isnull=False)
    active = Exists(NodeRun.objects.filter(moving, run_id=OuterRef("id")).order_by())
    runs = TreeRun.objects.filter(state__in=RUN_OPEN)
    for some in (runs.filter(active, state=RunState.STARTED, parent_run_id=None), runs.exclude(state=RunState.PAUSED)):
        run: TreeRun | None = some.first()
        if run is not None:
            return run
    paused: TreeRun | None = runs.first()
    if paused is None:
        raise usage_error("all runs have ended: give the ID of one; `manage.py tasktree list` shows the newest")
    return paused
