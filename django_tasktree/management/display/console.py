"""A rich console on a command's own output."""

from typing import Any

from django.core.management.base import BaseCommand, OutputWrapper
from rich.console import Console


class _Raw:
    """A command's output without the line break that Django adds to each write."""

    def __init__(self, wrapper: OutputWrapper) -> None:
        self._wrapper = wrapper

    def write(self, text: str) -> int:
        """Write as it is; what the output's encoding does not have becomes a question mark."""
        try:
            self._wrapper.write(text, ending="")
        except UnicodeEncodeError as exc:
            self._wrapper.write(text.encode(exc.encoding, "replace").decode(exc.encoding), ending="")
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._wrapper, name)


def console_of(command: BaseCommand, options: dict[str, Any], *, errors: bool = False) -> Console:
    """Make the console; where the output is no terminal it writes no escape codes and wraps nothing.

    Args:
        command: whose output it is.
        options: the command's; ``--no-color`` and ``--force-color`` count.
        errors: write to stderr.
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
