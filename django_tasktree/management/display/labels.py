"""Short texts for tasks, arguments, errors and durations."""

from datetime import datetime, timedelta

from django.utils.translation import override

from django_tasktree.encoding.text import short_name
from django_tasktree.reporting.call_texts import call_text
from django_tasktree.reporting.durations import duration_text
from django_tasktree.reporting.wait_texts import wait_text


def printable(text: str) -> str:
    """Return a text for one line of a terminal: line breaks become spaces, other unprintable characters are escaped."""
    return "".join(char if char.isprintable() else _escaped(char) for char in text)


def _escaped(char: str) -> str:
    return " " if char in "\n\r\t" else char.encode("unicode_escape").decode("ascii")


def call_label(task: str, args: str, kwargs: str) -> str:
    """Return a node as a call: the last part of the task's name, and its arguments.

    Args:
        task: the dotted name.
        args: the stored positional arguments, or their beginning.
        kwargs: the stored keyword arguments, or their beginning.
    """
    return printable(call_text(task, args, kwargs, quotes=False))


def wait_label(wait: str, state: str, eta: datetime | None) -> str:
    """Return what a wait node waits for, such as ``wait for “approved” until 12 May, 14:00``.

    The arguments are those of :func:`django_tasktree.reporting.wait_texts.wait_text`.
    """
    with override(None):
        return printable(wait_text(wait, state, eta, is_numeric=False))


def error_label(error_type: str, message: str) -> str:
    """Return an error in one line: the last part of its type, and its message."""
    name = short_name(error_type)
    return printable(": ".join(part for part in (name, message.strip()) if part))


def duration_label(duration: timedelta | None) -> str:
    """Return a duration for people to read, such as ``190 ms``; an empty string for None."""
    if duration is None:
        return ""
    # All output of commands is in English.
    with override(None):
        return duration_text(duration)


def counted(number: int, noun: str) -> str:
    """Return a number with its noun: ``1 node``, ``1,144 nodes``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
