"""Format a summary as lines of text."""

from collections.abc import Collection, Iterator
from typing import Any
from uuid import UUID

from rich.text import Text

from django_tasktree.management.display.header import counts
from django_tasktree.management.display.labels import counted, duration_label, printable
from django_tasktree.management.display.nodes import NodeRow
from django_tasktree.management.display.summary import Summary
from django_tasktree.management.display.symbols import node_symbol, run_state

_FAINT = "bright_black"


def summary_lines(summary: Summary, above: Collection[UUID] | None = None) -> Iterator[Text]:
    """Yield lines for the state, counts, errors and results of a run.

    Args:
        summary: the summary.
        above: the nodes that ``tasktree show`` has printed with their errors already; None if no tree was printed.
    """
    yield _first(summary)
    if summary.run.error_message:
        yield Text(f"  {printable(summary.run.error_message)}", "red")
    if summary.run.is_sub_run:
        run = summary.run
        yield Text(f"  started by node {run.parent_node_id} of run {run.parent_run_id}", _FAINT)
    for node in summary.errors:
        if above is None or node.id not in above:
            yield _error(node, summary.paths.get(node.id))
    if summary.errors_left_out > 0:
        more = f"… and {counted(summary.errors_left_out, 'more failed node')}"
        yield Text(f"  {more}{'' if above is None else ': increase --limit or --depth to see more'}", _FAINT)
    if summary.errors and above is None:
        yield Text(f"  see `manage.py tasktree show {summary.run.id}`", _FAINT)
    if summary.value is not None:
        yield from result_lines("result", summary.value)
        return
    for result in summary.results:
        yield from result_lines(result.node.title, result.value)


def result_lines(name: str, result: Any) -> Iterator[Text]:
    """Yield lines for a result: one, or for a dict one for each key; none for None."""
    if result is None:
        return
    if not isinstance(result, dict):
        yield Text.assemble((f"  {name}: ", _FAINT), _shown(result))
        return
    yield Text(f"  {name}", _FAINT)
    width = max((len(printable(str(key))) for key in result), default=0)
    for key, value in result.items():
        yield Text.assemble((f"    {printable(str(key)):{width}}  ", _FAINT), _shown(value))


def _first(summary: Summary) -> Text:
    run = summary.run
    line = run_state(run.state)
    line.append(f"  {printable(str(run))}", "default bold")
    if run.duration is not None:
        line.append(f" {'after' if run.is_over else 'for'} {duration_label(run.duration)}", "default not bold")
    line.append(f", {counted(summary.progress.total, 'node')}: ", "default not bold")
    return Text.assemble(line, counts(summary.progress))


def _error(node: NodeRow, path: str | None) -> Text:
    text = node.text if path is None else f"{printable(path)}: {node.call}"
    tries = f" after {node.attempts} attempts" if node.attempts > 1 else ""
    return Text.assemble("  ", node_symbol(node.state), f" {text}{tries} ", (node.error, "red"))


def _shown(value: Any) -> str:
    return printable(value if isinstance(value, str) else repr(value))
