"""What a waiting command shows: a live tree, plain lines, or nothing."""

import time
from types import TracebackType
from typing import Any
from uuid import UUID

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from django_tasktree.management.display import header
from django_tasktree.management.display.focus_page import FocusPage
from django_tasktree.management.display.labels import counted
from django_tasktree.management.display.tree_lines import tree_lines
from django_tasktree.models import TreeRun
from django_tasktree.progress import Progress


class QuietView:
    """Shows nothing but hints; the base of the others."""

    def __init__(self, console: Console, run_id: UUID) -> None:
        self.console = console
        self.run_id = run_id

    def __enter__(self) -> Any:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Nothing is left to be tidied up."""

    def show(self, run: TreeRun, progress: Progress) -> None:
        """Show how far the run is."""

    def hint(self, text: str) -> None:
        """Show one line that helps."""
        self.console.print(text, style="yellow", soft_wrap=True)


class PlainView(QuietView):
    """A line whenever the progress has changed, at most one a second."""

    def __init__(self, console: Console, run_id: UUID) -> None:
        super().__init__(console, run_id)
        self._shown = ""
        self._next = 0.0

    def show(self, run: TreeRun, progress: Progress) -> None:
        """Write one line if there is something new to tell."""
        line = f"{progress.done:,} of {counted(progress.total, 'node')}: {header.counts(progress).plain}"
        if line != self._shown and (time.monotonic() >= self._next or run.is_over):
            self.console.print(line, soft_wrap=True)
            self._shown, self._next = line, time.monotonic() + 1


class LiveView(QuietView):
    """The tree on a terminal, drawn anew at each look; it vanishes at the end, to make room for the summary."""

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
        """Draw header and tree, as much of it as fits."""
        lines = max(self.console.height - header.HEIGHT - 2, 1)
        page = self._page.read(progress.total, lines)
        tree = [_one_line(line) for line in tree_lines(page, compact=True)][:lines]
        hint = [_one_line(Text(self._hint, "yellow"))] if self._hint else []
        self._live.update(Group(header.header(run, progress), *tree, *hint), refresh=True)

    def hint(self, text: str) -> None:
        """Show the line below the tree from the next look on."""
        self._hint = text


def _one_line(text: Text) -> Text:
    text.no_wrap, text.overflow = True, "ellipsis"
    return text
