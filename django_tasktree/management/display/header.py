"""The header above a tree: the name and state of the run, a progress bar, and counts."""

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from django_tasktree.management.display.labels import counted, duration_label, printable
from django_tasktree.management.display.symbols import COUNTED, node_style, run_state
from django_tasktree.models import TreeRun
from django_tasktree.reporting.not_reached import is_not_reached
from django_tasktree.reporting.progress import Progress
from django_tasktree.states import NodeState

#: How many lines :func:`header` takes.
HEIGHT = 3


def title(run: TreeRun) -> Text:
    """Return a line with the name of the run, its state, duration and ID."""
    name = Text(printable(str(run)), "bold")
    line = Text("  ").join([name, run_state(run.state), Text(duration_label(run.duration))])
    line.append(f"  {run.id}", "bright_black")
    return line


def counts(progress: Progress) -> Text:
    """Return the number of nodes in each state, failures first: ``1 failure · 3 success``."""
    parts = [
        Text(f"{progress.by_state[state]:,} {_word(state, progress)}", node_style(state))
        for state in COUNTED
        if progress.by_state.get(state)
    ]
    return Text(" · ", "bright_black").join(parts) if parts else Text("no nodes", "bright_black")


def _word(state: NodeState, progress: Progress) -> str:
    return "not reached" if is_not_reached(state, progress.state) else state.lower()


def header(run: TreeRun, progress: Progress) -> RenderableType:
    """Return title, bar and counts, in :data:`HEIGHT` lines that do not wrap."""
    bar = ProgressBar(
        total=max(progress.total, 1),
        completed=progress.fraction * max(progress.total, 1),
        complete_style="red" if progress.failed else "blue",
        finished_style="red" if progress.failed else "green",
    )
    grid = Table.grid(expand=True, padding=(0, 1))
    grid.add_column(ratio=1)
    grid.add_column(no_wrap=True)
    grid.add_row(bar, f"{progress.done:,} of {counted(progress.total, 'node')}")
    return Group(one_line(title(run)), grid, one_line(counts(progress)))


def one_line(text: Text) -> Text:
    """Return the text, which is cut instead of wrapped from now on."""
    text.no_wrap, text.overflow = True, "ellipsis"
    return text
