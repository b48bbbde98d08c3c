"""Views of a run's progress: a live tree, plain lines, or nothing."""

import time
from types import TracebackType
from typing import Any
from uuid import UUID

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from django_tasktree.management.display import header
from django_tasktree.management.display.labels import counted
from django_tasktree.management.display.live_page import FocusPage
from django_tasktree.management.display.tree_lines import tree_lines
from django_tasktree.models import TreeRun
from django_tasktree.reporting.progress import Progress


class QuietView:
    """Show only hints; the base class of the other views."""

    def __init__(self, console: Console, run_id: UUID) -> None:
        self.console = console
        self.run_id = run_id

    def __enter__(self) -> Any:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Clean up; there is nothing to do in this class."""

    def show(self, run: TreeRun, progress: Progress) -> None:
        """Show the progress of the run; not in this class."""

    def hint(self, text: str) -> None:
        """Show a hint of one line."""
        self.console.print(text, style="yellow", soft_wrap=True)


class PlainView(QuietView):
    """Print a line when the progress has changed, at most once a second."""

    def __init__(self, console: Console, run_id: UUID) -> None:
        super().__init__(console, run_id)
        self._shown = ""
        self._next = 0.0

    def show(self, run: TreeRun, progress: Progress) -> None:
        """Print a line if the progress has changed."""
        line = f"{progress.done:,} of {counted(progress.total, 'node')}: {header.counts(progress).plain}"
        if line != self._shown and (time.monotonic() >= self._next or run.is_over):
            self.console.print(line, soft_wrap=True)
            self._shown, self._next = line, time.monotonic() + 1


class LiveView(QuietView):
    """Show the tree on a terminal, redrawn at each poll, and erase it at the end to make room for the summary."""

    def __init__(self, console: Console, run_id: UUID) -> None:
        super().__init__(console, run_id)
        self._page = FocusPage(run_id)
        self._hint = ""
        self._live = Live(console=console, auto_refresh=False, transient=True, redirect_stdout=False)

    def __enter__(self) -> "LiveView":
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._live.stop()

    def show(self, run: TreeRun, progress: Progress) -> None:
        """Draw the header and as many nodes as fit the screen."""
        lines = max(self.console.height - header.HEIGHT - 2, 1)
        page = self._page.read(progress.total, lines)
        tree = [header.one_line(line) for line in tree_lines(page, compact=True)][:lines]
        hint = [header.one_line(Text(self._hint, "yellow"))] if self._hint else []
        self._live.update(Group(header.header(run, progress), *tree, *hint), refresh=True)

    def hint(self, text: str) -> None:
        """Show the hint below the tree from the next poll on."""
        self._hint = text
