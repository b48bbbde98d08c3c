"""Look up runs and nodes by the IDs, the beginnings of IDs, or the paths that were typed."""

from typing import Any, TypeVar
from uuid import UUID

from django_tasktree.exceptions import NodeNotFound
from django_tasktree.management.errors import usage_error
from django_tasktree.models import NodeRun, TreeRun
from django_tasktree.reporting.node_paths import node_at

_LOWEST = "00000000000070008000000000000000"
_HIGHEST = "ffffffffffff7fffbfffffffffffffff"
_MAX_SHOWN = 5
#: The number of digits from which on a text after an ID is the beginning of another one.
_SHORTEST_ID = 4
_Row = TypeVar("_Row", TreeRun, NodeRun)


def find_run(typed: str) -> TreeRun:
    """Return the run whose ID is, or begins with, the typed text.

    Raises:
        CommandError: no run has such an ID, or several have.
    """
    runs: list[TreeRun] = _beginning_with(TreeRun, typed)
    if not runs:
        raise usage_error(f"no run has an ID that begins with {typed!r}; `manage.py tasktree list` shows the newest")
    return _only(runs, "runs", typed)


def find_run_or_node(typed: str, *, may_be_path: bool = False) -> TreeRun | NodeRun:
    """Return the run whose ID is, or begins with, the typed text; if there is none, the node.

    Args:
        typed: the text.
        may_be_path: whether the text comes after an ID, so that it may be meant as a path.

    Raises:
        CommandError: neither a run nor a node has such an ID, or several have.
    """
    runs: list[TreeRun] = _beginning_with(TreeRun, typed)
    if runs:
        return _only(runs, "runs", typed)
    nodes: list[NodeRun] = _beginning_with(NodeRun, typed)
    if not nodes:
        raise usage_error(
            f"no run or node has an ID that begins with {typed!r}; `manage.py tasktree list` shows the newest runs, "
            "and `manage.py tasktree show RUN --ids` the nodes of one"
            + (f"; if it is a label or a position, write /{typed}" if may_be_path else "")
        )
    return _only(nodes, "nodes", typed)


def is_path(typed: str, *, after_id: bool = False) -> bool:
    """Return whether a text is the path of a node and not an ID: it has other characters, or begins with a slash.

    Args:
        typed: the text.
        after_id: whether an ID comes before it. Then a few digits are a position: as the beginning of an ID, they would
            hardly ever be unique.
    """
    digits = _digits(typed)
    return bool(typed) and (not _is_hexadecimal(digits) or (after_id and len(digits) < _SHORTEST_ID))


def find_by_path(above: TreeRun | NodeRun, typed: str) -> NodeRun:
    """Return the node at a path.

    Args:
        above: the run, or the node below which the path begins.
        typed: the path.

    Raises:
        CommandError: there is no such node.
    """
    place = (above.id, None) if isinstance(above, TreeRun) else (above.run_id, above.id)
    try:
        found: NodeRun = NodeRun.objects.get(id=node_at(typed, *place))
    except (NodeNotFound, ValueError) as exc:
        raise usage_error(f"{exc}; `manage.py tasktree show {place[0]}` shows the nodes") from exc
    return found


def _digits(typed: str) -> str:
    return typed.strip().lower().replace("-", "")


def _is_hexadecimal(text: str) -> bool:
    return not text.strip("0123456789abcdef")


def _beginning_with(model: Any, typed: str) -> list[Any]:
    digits = _digits(typed)
    if not digits or len(digits) > 32 or not _is_hexadecimal(digits):
        raise usage_error(
            f"{typed!r} is not an ID or the beginning of one; `manage.py tasktree list` shows the IDs of runs"
        )
    # Bounds instead of LIKE, which native UUID columns do not support. The bounds have the version and variant of all
    # our IDs, because MariaDB sorts UUIDs of different versions differently.
    low, high = (UUID(hex=digits + bound[len(digits) :]) for bound in (_LOWEST, _HIGHEST))
    return list(model.objects.filter(id__gte=low, id__lte=high)[: _MAX_SHOWN + 1])


def _only(rows: list[_Row], what: str, typed: str) -> _Row:
    if len(rows) == 1:
        return rows[0]
    ids = ", ".join(str(row.id) for row in rows[:_MAX_SHOWN])
    raise usage_error(
        f"several {what} have an ID that begins with {typed!r}: {ids}{', …' if rows[_MAX_SHOWN:] else ''}"
    )
