"""Follow a run until it ends, as run_tasktree follows what it launches."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from django_tasktree.exceptions import RunNotFound, WaitTimeout
from django_tasktree.management.arguments import seconds
from django_tasktree.management.following import follow
from django_tasktree.management.outcome import Outcome
from django_tasktree.management.usage import find_run, usage_error
from django_tasktree.models import TreeRun
from django_tasktree.states import RUN_OPEN


def add_arguments(parser: CommandParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "id", nargs="?", metavar="ID", help="the run's ID, or its beginning; by default the newest run that is going"
    )
    parser.add_argument("--timeout", type=seconds, metavar="S", help="stop following after so many seconds")
    parser.add_argument("--format", choices=["text", "json"], default="text")


def handle(command: BaseCommand, options: dict[str, Any]) -> None:
    """Show it; exit code 0: it succeeded; 1: it failed, or had not ended in time; 130: Ctrl-C, the run goes on."""
    run = _newest() if options["id"] is None else find_run(options["id"])
    outcome = Outcome(command, {**options, "no_wait": False, "worker": False})
    outcome.follows(run)
    try:
        run = follow(outcome.view(run.id), timeout=options["timeout"], check=lambda: None)
    except RunNotFound as exc:
        raise usage_error(str(exc)) from exc
    except WaitTimeout as exc:
        outcome.timed_out(exc)
    except KeyboardInterrupt:
        outcome.detached()
    else:
        outcome.ended(run)
    outcome.leave()


def _newest() -> TreeRun:
    run: TreeRun | None = TreeRun.objects.filter(state__in=RUN_OPEN).first()
    if run is None:
        raise usage_error("no run is going: give the ID of one; `manage.py tasktree list` shows the newest")
    return run
