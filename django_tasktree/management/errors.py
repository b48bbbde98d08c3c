"""Usage errors, which end a command with exit code 2."""

from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Any

from django.core.management.base import CommandError, CommandParser

from django_tasktree.exceptions import InvalidParameter, InvalidText, UnknownDefinition


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
