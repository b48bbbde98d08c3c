"""What ``run_tasktree`` and ``tasktree watch`` say of a run, and the exit code it leaves with."""

import sys
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand

from django_tasktree.exceptions import WaitTimeout
from django_tasktree.management.display.console import console_of
from django_tasktree.management.display.json_output import dumps, summary_json
from django_tasktree.management.display.summary import summary_of
from django_tasktree.management.display.summary_lines import summary_lines
from django_tasktree.management.display.top_page import top_page
from django_tasktree.management.display.tree_lines import tree_lines
from django_tasktree.management.display.views import LiveView, PlainView, QuietView
from django_tasktree.management.following import look
from django_tasktree.models import TreeRun
from django_tasktree.states import RunState

_FAILED = 1
#: What a shell says of a command that Ctrl-C has ended.
INTERRUPTED = 130
#: The tree that is left on the terminal at the end.
_DEPTH, _PER_PARENT, _SHARE_OF_SCREEN = 4, 6, 0.6


class Outcome:
    """Tells of one run, as text or as JSON.

    Args:
        command: whose output is used.
        options: the command's.
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
        """Whether the run goes on without the command."""
        return self.exit_code != 0 and self._run is not None and not self._run.is_over

    def view(self, run_id: UUID) -> QuietView:
        """Choose how the run is shown while it goes on."""
        if self._as_json:
            return QuietView(self._notes, run_id)
        return LiveView(self._console, run_id) if self._console.is_terminal else PlainView(self._console, run_id)

    def launched(self, run: TreeRun, *, existing: bool) -> None:
        """Tell that the run exists."""
        self._run = run
        if self._as_json:
            if self._no_wait:
                self._print_json(run)
        elif self._no_wait:
            self._console.print(str(run.id), soft_wrap=True)
            self.note(self._how_to_follow())
        else:
            known = f"This key was launched before: following run {run.id} of {run}"
            self._console.print(known if existing else f"Launched {run} as run {run.id}", soft_wrap=True)

    def follows(self, run: TreeRun) -> None:
        """Note which run it is about, where it was launched before."""
        self._run = run

    def ended(self, run: TreeRun) -> None:
        """Show how the run ended."""
        self._run = run
        self.exit_code = 0 if run.state == RunState.SUCCESS else _FAILED
        if self._as_json:
            self._print_json(run)
            return
        summary = summary_of(run)
        if self._console.is_terminal:
            lines = int(self._console.height * _SHARE_OF_SCREEN)
            page = top_page(run.id, depth=_DEPTH, per_parent=_PER_PARENT, in_all=lines)
            for line in [*tree_lines(page, compact=True)][:lines]:
                self._console.print(line, no_wrap=True, overflow="ellipsis")
            self._console.print()
        for line in summary_lines(summary):
            self._console.print(line, soft_wrap=True)

    def timed_out(self, error: WaitTimeout) -> None:
        """Tell that following has ended, and the run has not."""
        self._leave_running(_FAILED, str(error))

    def detached(self) -> None:
        """Tell what becomes of the run after Ctrl-C."""
        self._leave_running(INTERRUPTED, "Detached")

    def note(self, text: str) -> None:
        """Tell something that is no part of the output."""
        self._notes.print(text, soft_wrap=True)

    def leave(self) -> None:
        """Leave with the exit code; 0 returns."""
        if self.exit_code:
            sys.exit(self.exit_code)

    def _leave_running(self, exit_code: int, why: str) -> None:
        self.exit_code = exit_code
        for line in (f"{why}. {self._what_goes_on()}", self._how_to_follow()):
            self.note(line)
        if self._as_json and self._run is not None:
            self._print_json(self._run)

    def _what_goes_on(self) -> str:
        if self._with_worker:
            return (
                "The run stands in the database; what this command's worker leaves undone waits until another one runs."
            )
        return "The run goes on wherever a Celery worker runs."

    def _how_to_follow(self) -> str:
        return f"Follow it with: manage.py tasktree watch {'' if self._run is None else self._run.id}"

    def _print_json(self, run: TreeRun) -> None:
        self._run, _ = look(run.id)
        self._console.print(dumps(summary_json(summary_of(self._run))), soft_wrap=True)
