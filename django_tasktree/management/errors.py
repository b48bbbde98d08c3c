"""Usage errors, which end a command with exit code 2, and the lookup of runs and nodes by their IDs."""

from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Any, TypeVar
from uuid import UUID

from django.core.management.base import CommandError, CommandParser

from django_tasktree.exceptions import InvalidParameter, InvalidText, UnknownDefinition
from django_tasktree.models import NodeRun, TreeRun

_LOWEST = "00000000000070008000000000000000"
_HIGHEST = "ffffffffffff7fffbfffffffffffffff"
_SHOWN = 5
_Row = TypeVar("_Row", TreeRun, NodeRun)


def usage_error(message: str) -> CommandError:
    """Return an error that ends the command with exit code 2."""
    return CommandError(message, returncode=2)


@contextmanager
def usage_errors() -> Iterator[None]:
    """Turn errors about what was typed into usage errors.

    Raises:
        CommandError: with exit code 2, for a wrong definition, parameter or text.
    """
    try:
        yield
    except (UnknownDefinition, InvalidParameter, InvalidText) as exc:
        raise usage_error(str(exc)) from exc


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """Return a hint: the closest known word, or the list of all."""
    closest = get_close_matches(word.lower(), known, n=1)
    return f"did you mean {closest[0]!r}?" if closest else f"choose from {', '.join(known)}"


class SubcommandParser(CommandParser):
    """A parser that reports unknown arguments with the usage of the subcommand instead of that of the command."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse all arguments; unknown ones are an error.

        Raises:
            CommandError, SystemExit: the subcommand does not have one of the arguments.
        """
        parsed, rest = super().parse_known_args(args, namespace)
        if rest:
            self.error(unrecognized(self, rest))
        return parsed, rest


def unrecognized(parser: ArgumentParser, rest: Sequence[str]) -> str:
    """Return the message about unknown arguments, with the options that were probably meant.

    Args:
        parser: the parser.
        rest: the arguments that it did not recognize.
    """
    known = list(parser._option_string_actions)
    typed = [word.partition("=")[0] for word in rest if word.startswith("-")]
    closest = [match for word in typed for match in get_close_matches(word, known, n=1)]
    hint = f": did you mean {' '.join(closest)}?" if closest else ""
    return f"unrecognized arguments: {' '.join(rest)}{hint}"


def find_run(typed: str) -> TreeRun:
    """Return the run whose ID is, or begins with, the typed text.

    Raises:
        CommandError: no run has such an ID, or several have.
    """
    runs: list[TreeRun] = _beginning_with(TreeRun, typed)
    if not runs:
        raise usage_error(f"no run has an ID that begins with {typed!r}; `manage.py tasktree list` shows the newest")
    return _only(runs, "runs", typed)


def find_run_or_node(typed: str) -> TreeRun | NodeRun:
    """Return the run whose ID is, or begins with, the typed text; if there is none, the node.

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
        )
    return _only(nodes, "nodes", typed)


def _beginning_with(model: Any, typed: str) -> list[Any]:
    digits = typed.strip().lower().replace("-", "")
    if not digits or len(digits) > 32 or digits.strip("0123456789abcdef"):
        raise usage_error(
            f"{typed!r} is not an ID or the beginning of one; `manage.py tasktree list` shows the IDs of runs"
        )
    # Bounds instead of LIKE, which native UUID columns do not support. The bounds have the version and variant of all
    # our IDs, because MariaDB sorts UUIDs of different versions differently.
    low, high = (UUID(hex=digits + bound[len(digits) :]) for bound in (_LOWEST, _HIGHEST))
    return list(model.objects.filter(id__gte=low, id__lte=high)[: _SHOWN + 1])


def _only(rows: list[_Row], what: str, typed: str) -> _Row:
    if len(rows) == 1:
        return rows[0]
    ids = ", ".join(str(row.id) for row in rows[:_SHOWN])
    raise usage_error(f"several {what} have an ID that begins with {typed!r}: {ids}{', …' if rows[_SHOWN:] else ''}")
