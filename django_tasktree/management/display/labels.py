"""Short texts for tasks, arguments, errors and durations."""

from datetime import timedelta

from django.utils.translation import override

from django_tasktree.call_texts import call_text
from django_tasktree.durations import duration_text
from django_tasktree.text import short_name


def printable(text: str) -> str:
    """Make a text safe for one line of a terminal: no line breaks, no escape codes, nothing that can't be encoded."""
    return "".join(char if char.isprintable() else _escaped(char) for char in text)


def _escaped(char: str) -> str:
    return " " if char in "\n\r\t" else char.encode("unicode_escape").decode("ascii")


def call_label(task: str, args: str, kwargs: str) -> str:
    """Show a node as a call: the last part of the task's name, and its arguments.

    Args:
        task: the dotted name.
        args: the stored positional arguments, or the beginning of them.
        kwargs: the stored keyword arguments, or the beginning of them.
    """
    return printable(call_text(task, args, kwargs, quotes=False))


def error_label(error_type: str, message: str) -> str:
    """Show an error in one line: the last part of its type, and its message."""
    name = short_name(error_type)
    return printable(": ".join(part for part in (name, message.strip()) if part))


def duration_label(duration: timedelta | None) -> str:
    """Show a duration as people read it; nothing where there is none yet."""
    if duration is None:
        return ""
    # The rest of what commands say is English.
    with override(None):
        return duration_text(duration)


def counted(number: int, noun: str) -> str:
    """Show a number with its noun: ``1 node``, ``1,144 nodes``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
