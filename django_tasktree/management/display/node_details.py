"""Show one node: what is below it, its result, and its error with the traceback."""

from collections.abc import Iterator
from typing import Any

from rich.text import Text

from django_tasktree.management.display.json import node_json, page_json
from django_tasktree.management.display.labels import printable, wait_label
from django_tasktree.management.display.nodes import NodeRow
from django_tasktree.management.display.page import Page
from django_tasktree.management.display.summary import stored_result
from django_tasktree.management.display.summary_lines import result_lines
from django_tasktree.models import NodeRun
from django_tasktree.states import NodeState

_FAINT = "bright_black"


def detail_lines(node: NodeRun) -> Iterator[Text]:
    """Yield lines with the run, the state, the last attempt and the result of a node."""
    yield Text(f"node {node.id} of run {node.run_id} ({printable(str(node.run))})", _FAINT)
    yield Text(f"  {_state(node)}", _FAINT)
    if node.state == NodeState.SUCCESS:
        yield from result_lines("result", _result(node))


def traceback_lines(node: NodeRun) -> Iterator[Text]:
    """Yield the lines of the traceback of a node."""
    for line in node.traceback.splitlines():
        yield Text(f"  {printable(line)}", "red")


def node_report(node: NodeRun, page: Page) -> dict[str, Any]:
    """Return a node as a dict, with the nodes below it on a page."""
    row: NodeRow
    ((row, _depth),) = [entry for entry in page.walk() if entry[0].id == node.id]
    return {
        **node_json(row),
        "run": str(node.run_id),
        "worker": node.worker or None,
        "result": _result(node),
        "traceback": node.traceback or None,
        "nodes": [each for each in page_json(page) if each["id"] != str(node.id)],
    }


def _state(node: NodeRun) -> str:
    what = node.task if node.wait is None else wait_label(node.wait, node.state, node.eta)
    parts = [what, node.state.lower()]
    if node.attempts:
        parts.append(f"attempt {node.attempts}" + (f" by {printable(node.worker)}" if node.worker else ""))
    return ", ".join(parts)


def _result(node: NodeRun) -> Any:
    return None if node.result is None else stored_result(node.result)
