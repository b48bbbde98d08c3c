"""Format a page of nodes as a tree of text lines."""

from collections.abc import Iterator
from uuid import UUID

from rich.text import Text

from django_tasktree.management.display.console import fitting
from django_tasktree.management.display.labels import duration_label
from django_tasktree.management.display.nodes import NodeRow
from django_tasktree.management.display.page import Page
from django_tasktree.management.display.symbols import node_style, node_symbol
from django_tasktree.reporting.titles import short_id

_FAINT = "bright_black"
#: Nodes below this level are not indented further, so that their text still fits.
_MAX_INDENT = 12
#: The number of columns that the text of a node has at least.
_SHORTEST = 24


def tree_lines(page: Page, *, compact: bool = False, ids: bool = False, width: int | None = None) -> Iterator[Text]:
    """Yield the lines of a tree: one for each node, and more for errors that do not fit it.

    Args:
        page: the nodes.
        compact: show the number of children left out at the end of their parent's line instead of in its own line.
        ids: show the IDs of nodes.
        width: the number of columns, for which the text of nodes is cut; None for no limit.
    """
    stack = _entries(page, None, "", compact)
    while stack:
        prefix, branch, row = stack.pop()
        if isinstance(row, str):
            yield Text(f"{prefix}{branch}{row}", _FAINT)
            continue
        left_out = _left_out(page, row.id, "+{}") if _inline(page, row, compact) else ""
        below = prefix + {"├─ ": "│  ", "└─ ": "   "}.get(branch, "")
        entries = _entries(page, row, below[: 3 * _MAX_INDENT], compact)
        tags = _tags(row, left_out, ids, is_short=False)
        if width is not None and _SHORTEST + len(prefix + branch) + tags.cell_len > width:
            tags = _tags(row, left_out, ids, is_short=True)
        yield from _lines(f"{prefix}{branch}", below + ("│   " if entries else "    "), row, tags, width)
        stack.extend(entries)


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


def _lines(prefix: str, below: str, row: NodeRow, tags: Text, width: int | None) -> Iterator[Text]:
    """Yield the line of a node, and its error, on the same line if it fits.

    Args:
        prefix: the beginning of the line.
        below: the beginning of further lines.
        row: the node.
        tags: what follows the text of the node.
        width: the number of columns; None for no limit.
    """
    style = node_style(row.state)
    line = Text.assemble((prefix, _FAINT), node_symbol(row.state), (f" {row.text}", style if row.error else ""))
    if width is not None:
        line.truncate(max(width - tags.cell_len, len(prefix) + _SHORTEST), overflow="ellipsis")
    line.append_text(tags)
    error = Text(f" {row.error}" if row.error else "", style)
    if width is None or line.cell_len + error.cell_len <= width:
        yield line.append_text(error)
        return
    yield line
    for part in fitting(error[1:], max(width - len(below), _SHORTEST)):
        yield Text(below, _FAINT).append_text(part)


def _tags(row: NodeRow, left_out: str, ids: bool, *, is_short: bool) -> Text:
    """Return what follows the text of a node: whether it gathers, attempts, duration, sub-run and omitted children."""
    tags = Text()
    if row.is_gather:
        tags.append(f" gather {row.quorum}".rstrip(), _FAINT)
    if row.attempts > 1:
        tags.append(f" attempt {row.attempts}", "yellow")
    if row.duration is not None:
        tags.append(f" {duration_label(row.duration)}", _FAINT)
    if row.sub_run_id is not None:
        tags.append(f" → run {short_id(row.sub_run_id) if is_short else row.sub_run_id}", _FAINT)
    if left_out:
        tags.append(f" {left_out}", _FAINT)
    return tags.append(f"  {row.id}", _FAINT) if ids else tags
