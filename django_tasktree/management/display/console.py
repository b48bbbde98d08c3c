"""A rich console that writes to the output of a command."""

from typing import Any

from django.core.management.base import BaseCommand, OutputWrapper
from rich.console import Console


class _Raw:
    """The output of a command, without the line break that Django adds to each write."""

    def __init__(self, wrapper: OutputWrapper) -> None:
        self._wrapper = wrapper

    def write(self, text: str) -> int:
        """Write a text unchanged; characters that the output can't encode become question marks."""
        try:
            self._wrapper.write(text, ending="")
        except UnicodeEncodeError as exc:
            self._wrapper.write(text.encode(exc.encoding, "replace").decode(exc.encoding), ending="")
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._wrapper, name)


def console_of(command: BaseCommand, options: dict[str, Any], *, errors: bool = False) -> Console:
    """Return a console; if the output is not a terminal, it writes no escape codes and does not wrap lines.

    Args:
        command: the command, for its stdout and stderr.
        options: the options of the command; ``no_color`` and ``force_color`` are used.
        errors: whether to write to stderr.
    """
    raw: Any = _Raw(command.stderr if errors else command.stdout)
    console = Console(
        file=raw,
        highlight=False,
        markup=False,
        emoji=False,
        no_color=bool(options.get("no_color")) or None,
        force_terminal=True if options.get("force_color") else raw.isatty(),
    )
    console.soft_wrap = not console.is_terminal
    return console
