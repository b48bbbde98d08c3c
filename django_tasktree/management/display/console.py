"""A rich console that writes to the output of a command."""

import os
from io import StringIO
from typing import Any

from django.core.management.base import BaseCommand, OutputWrapper
from rich.console import Console
from rich.text import Text


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
    """Return a console; if the output is not a terminal, it writes no escape codes.

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


def width_of(console: Console) -> int | None:
    """Return the number of columns for lines: that of a terminal; elsewhere ``COLUMNS``, or None for no limit."""
    return console.width if console.is_terminal or os.environ.get("COLUMNS", "").isdecimal() else None


def print_fitting(console: Console, line: Text, indent: int = 4) -> None:
    """Print a text, with line breaks between words if it is too long for a line.

    Args:
        console: the console.
        line: the text.
        indent: by how many columns to indent the second line, and those after it.
    """
    for part in fitting(line, width_of(console), indent):
        console.print(part, soft_wrap=True)


def fitting(line: Text, width: int | None, indent: int = 0) -> list[Text]:
    """Return a text as lines of at most a number of columns; None for no limit. See :func:`print_fitting`."""
    if width is None or line.cell_len <= width:
        return [line]
    first, rest = _broken(line, width)
    found = [first]
    while rest.plain:
        first, rest = _broken(rest, max(width - indent, 1))
        found.append(Text(" " * indent).append_text(first))
    return found


def _broken(line: Text, width: int) -> tuple[Text, Text]:
    """Return the part of a text that fits a line, and the other part."""
    first = line.wrap(_MEASURE, width)[0]
    first.rstrip()
    end = len(first.plain)
    end += len(line.plain[end:]) - len(line.plain[end:].lstrip())
    return first, line[end:]


#: Rich asks a console for the width of characters.
_MEASURE = Console(file=StringIO(), width=80)
