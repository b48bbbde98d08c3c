"""Usage errors: they end a command with the exit code 2."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Any, TypeVar
from uuid import UUID

from django.core.management.base import CommandError

from django_tasktree.exceptions import InvalidParameter, InvalidText, UnknownDefinition
from django_tasktree.models import NodeRun, TreeRun

_LOWEST = "00000000000070008000000000000000"
_HIGHEST = "ffffffffffff7fffbfffffffffffffff"
_SHOWN = 5
_Row = TypeVar("_Row", TreeRun, NodeRun)


def usage_error(message: str) -> CommandError:
    """Make the error that ends the command."""
    return CommandError(message, returncode=2)


@contextmanager
def usage_errors() -> Iterator[None]:
    """Turn errors of whoever typed the command into usage errors.

    Raises:
        CommandError: with the exit code 2.
    """
    try:
        yield
    except (UnknownDefinition, InvalidParameter, InvalidText) as exc:
        raise usage_error(str(exc)) from exc


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """Suggest what was perhaps meant, or list what there is."""
    near = get_close_matches(word.lower(), known, n=1)
    return f"did you mean {near[0]!r}?" if near else f"choose from {', '.join(known)}"


def find_run(typed: str) -> TreeRun:
    """Find a run by its ID, or by the beginning of it.

    Raises:
        CommandError: there is no such run, or several.
    """
    found: list[TreeRun] = _beginning_with(TreeRun, typed)
    if not found:
        raise usage_error(f"no run has an ID that begins with {typed!r}; `manage.py tasktree list` shows the newest")
    return _only(found, "runs", typed)


def find_run_or_node(typed: str) -> TreeRun | NodeRun:
    """Find a run by its ID, or by the beginning of it; where there is none, a node.

    Raises:
        CommandError: there is neither, or there are several.
    """
    runs: list[TreeRun] = _beginning_with(TreeRun, typed)
    if runs:
        return _only(runs, "runs", typed)
    found: list[NodeRun] = _beginning_with(NodeRun, typed)
    if not found:
        raise usage_error(
            f"no run or node has an ID that begins with {typed!r}; `manage.py tasktree list` shows the newest runs, "
            "and `manage.py tasktree show RUN --ids` the nodes of one"
        )
    return _only(found, "nodes", typed)


def _beginning_with(model: Any, typed: str) -> list[Any]:
    digits = typed.strip().lower().replace("-", "")
    if not digits or len(digits) > 32 or digits.strip("0123456789abcdef"):
        raise usage_error(f"{typed!r} is not an ID, nor its beginning; `manage.py tasktree list` shows those of runs")
    # Bounds rather than LIKE, which native UUID columns do not have; version and variant as every ID has them, since
    # MariaDB orders the versions differently.
    low, high = (UUID(hex=digits + bound[len(digits) :]) for bound in (_LOWEST, _HIGHEST))
    return list(model.objects.filter(id__gte=low, id__lte=high)[: _SHOWN + 1])


def _only(found: list[_Row], what: str, typed: str) -> _Row:
    if len(found) == 1:
        return found[0]
    some = ", ".join(str(row.id) for row in found[:_SHOWN])
    raise usage_error(f"several {what} have an ID that begins with {typed!r}: {some}{', …' if found[_SHOWN:] else ''}")
