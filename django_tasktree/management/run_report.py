"""The output and the exit code of ``run_tasktree`` and ``tasktree watch``."""

import sys
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand
from rich.text import Text

from django_tasktree.exceptions import WaitTimeout
from django_tasktree.management.display.console import console_of, print_fitting
from django_tasktree.management.display.json import dumps, summary_json
from django_tasktree.management.display.summary import summary_of
from django_tasktree.management.display.summary_lines import summary_lines
from django_tasktree.management.display.tree_lines import tree_lines
from django_tasktree.management.display.tree_page import top_pages
from django_tasktree.management.display.views import LiveView, PlainView, QuietView
from django_tasktree.management.follow import poll
from django_tasktree.models import TreeRun
from django_tasktree.states import RunState

_FAILED = 1
#: The exit code of a command that was ended by Ctrl-C, as shells define it.
INTERRUPTED = 130
#: Limits of the tree that is printed on a terminal at the end: levels, children of each node, share of the screen.
_DEPTH, _PER_PARENT, _SHARE_OF_SCREEN = 4, 6, 0.6


class RunReport:
    """Report on one run, as text or as JSON, and keep the exit code.

    Args:
        command: the command, for its stdout and stderr.
        options: the options of the command: ``format``, ``no_wait``, ``worker`` and those of Django.
    """

    def __init__(self, command: BaseCommand, options: dict[str, Any]) -> None:
        self.exit_code = 0
        self._console = console_of(command, options)
        self._notes = console_of(command, options, errors=True)
        self._as_json = options["format"] == "json"
        self._no_wait = options["no_wait"]
        self._with_worker = options["worker"]
        self._run: TreeRun | None = None

    @property
    def is_detached(self) -> bool:
        """Whether the command ends before the run."""
        return self.exit_code != 0 and self._run is not None and not self._run.is_over

    def view(self, run_id: UUID) -> QuietView:
        """Return the view that shows the run's progress."""
        if self._as_json:
            return QuietView(self._notes, run_id)
        return LiveView(self._console, run_id) if self._console.is_terminal else PlainView(self._console, run_id)

    def launched(self, run: TreeRun, *, existing: bool) -> None:
        """Report the launch.

        Args:
            run: the run.
            existing: whether it had been launched before, with the same key.
        """
        self._run = run
        if self._as_json:
            if self._no_wait:
                self._print_json(run)
        elif self._no_wait:
            self._console.print(str(run.id), soft_wrap=True)
            self.note(self._how_to_follow())
        else:
            message = f"A run with this key exists: following run {run.id} of {run}"
            print_fitting(self._console, Text(message if existing else f"Launched {run} as run {run.id}"))

    def follows(self, run: TreeRun) -> None:
        """Set the run, if this command did not launch it."""
        self._run = run

    def ended(self, run: TreeRun) -> None:
        """Print how the run ended, and set the exit code."""
        self._run = run
        self.exit_code = 0 if run.state == RunState.SUCCESS else _FAILED
        if self._as_json:
            self._print_json(run)
            return
        summary = summary_of(run)
        if self._console.is_terminal:
            for line in self._tree(run, int(self._console.height * _SHARE_OF_SCREEN)):
                self._console.print(line, no_wrap=True, overflow="ellipsis")
            self._console.print()
        for line in summary_lines(summary):
            print_fitting(self._console, line)

    def _tree(self, run: TreeRun, height: int) -> list[Text]:
        """Return the lines of the largest tree that has at most a number of lines."""
        pages = top_pages(run.id, depth=_DEPTH, per_parent=_PER_PARENT, total=height)
        return next(lines for page in pages if len(lines := [*tree_lines(page)]) <= max(height, 1))

    def timed_out(self, error: WaitTimeout) -> None:
        """Report that the timeout expired before the run ended."""
        self._leave_running(_FAILED, str(error))

    def detached(self) -> None:
        """Report, after Ctrl-C, that the run continues."""
        self._leave_running(INTERRUPTED, "Detached")

    def note(self, text: str) -> None:
        """Print a line to stderr."""
        print_fitting(self._notes, Text(text))

    def leave(self) -> None:
        """Exit with the exit code; return if it is 0."""
        if self.exit_code:
            sys.exit(self.exit_code)

    def _leave_running(self, exit_code: int, why: str) -> None:
        self.exit_code = exit_code
        for line in (f"{why}. {self._what_continues()}", self._how_to_follow()):
            self.note(line)
        if self._as_json and self._run is not None:
            self._print_json(self._run)

    def _what_continues(self) -> str:
        if self._with_worker:
            return "The run remains in the database; the nodes that have not run yet wait for another worker."
        return "The run continues on any Celery worker that is running."

    def _how_to_follow(self) -> str:
        return f"Follow it with: manage.py tasktree watch {'' if self._run is None else self._run.id}"

    def _print_json(self, run: TreeRun) -> None:
        self._run, _ = poll(run.id)
        self._console.print(dumps(summary_json(summary_of(self._run))), soft_wrap=True)
