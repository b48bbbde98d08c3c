"""Format a page of nodes as a tree of text lines."""

from collections.abc import Iterator
from uuid import UUID

from rich.text import Text

from django_tasktree.management.display.labels import duration_label
from django_tasktree.management.display.nodes import NodeRow
from django_tasktree.management.display.page import Page
from django_tasktree.management.display.symbols import node_style, node_symbol

_FAINT = "bright_black"
#: Nodes below this level are not indented further, so that their text still fits.
_MAX_INDENT = 12


def tree_lines(page: Page, *, compact: bool = False, ids: bool = False) -> Iterator[Text]:
    """Yield the lines of a tree, one for each node.

    Args:
        page: the nodes.
        compact: show the number of children left out at the end of their parent's line instead of in its own line.
        ids: show the IDs of nodes.
    """
    stack = _entries(page, None, "", compact)
    while stack:
        prefix, branch, row = stack.pop()
        if isinstance(row, str):
            yield Text(f"{prefix}{branch}{row}", _FAINT)
            continue
        line = _line(f"{prefix}{branch}", row, _left_out(page, row.id, "+{}") if _inline(page, row, compact) else "")
        yield line.append(f"  {row.id}", _FAINT) if ids else line
        below = prefix + {"├─ ": "│  ", "└─ ": "   "}.get(branch, "")
        stack.extend(_entries(page, row, below[: 3 * _MAX_INDENT], compact))


_Entry = tuple[str, str, NodeRow | str]


def _entries(page: Page, parent: NodeRow | None, prefix: str, compact: bool) -> list[_Entry]:
    """Return the entries below a node in reverse order, for the stack."""
    key = None if parent is None else parent.id
    below: list[NodeRow | str] = [*page.children.get(key, [])]
    left_out = _left_out(page, key, "… {} more")
    if left_out and not (parent is not None and _inline(page, parent, compact)):
        below.insert(page.gap(key), left_out)
    last = len(below) - 1
    branches = ["" if parent is None else "└─ " if index == last else "├─ " for index in range(len(below))]
    return [(prefix, branch, row) for branch, row in zip(branches, below, strict=True)][::-1]


def _left_out(page: Page, parent: UUID | None, text: str) -> str:
    """Return the numbers of the children of a node that are left out, and of those that failed; empty if none is."""
    number, failed = page.left_out.get(parent, 0), page.failed.get(parent, 0)
    if not number:
        return ""
    more = "+" if page.failed_is_cut else ""
    return text.format(f"{number:,}") + (f" ({failed:,}{more} failed)" if failed else "")


def _inline(page: Page, row: NodeRow, compact: bool) -> bool:
    """Return whether the number of children left out is part of the node's own line."""
    return compact or not page.children.get(row.id)


def _line(prefix: str, row: NodeRow, left_out: str) -> Text:
    style = node_style(row.state)
    line = Text.assemble((prefix, _FAINT), node_symbol(row.state), (f" {row.text}", style if row.error else ""))
    if row.is_gather:
        line.append(f" gather {row.quorum}".rstrip(), _FAINT)
    if row.attempts > 1:
        line.append(f" attempt {row.attempts}", "yellow")
    if row.duration is not None:
        line.append(f" {duration_label(row.duration)}", _FAINT)
    if row.sub_run_id is not None:
        line.append(f" → run {row.sub_run_id}", _FAINT)
    if left_out:
        line.append(f" {left_out}", _FAINT)
    if row.error:
        line.append(f" {row.error}", style)
    return line
