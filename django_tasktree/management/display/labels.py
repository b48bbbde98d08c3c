"""Short texts for tasks, arguments, errors and durations."""

import json
from datetime import timedelta
from typing import Any

from django.utils.translation import override

from django_tasktree.durations import duration_text

_LONGEST_VALUE = 60


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
    shown = [part for part in (_arguments(args), _arguments(kwargs)) if part]
    return printable(f"{task.rpartition('.')[2]}({', '.join(shown)})")


def _arguments(stored: str) -> str:
    try:
        values = json.loads(stored)
    except ValueError:
        # Pickled, or longer than what was read of it.
        return f"{stored[1 : _LONGEST_VALUE + 1]}…"
    if isinstance(values, dict):
        return ", ".join(f"{name}={_value(value)}" for name, value in values.items())
    return ", ".join(map(_value, values))


def _value(value: Any) -> str:
    """Show one argument; of a typed object, as kombu writes it, its value, and of a reference which output it is."""
    if isinstance(value, dict) and "__type__" in value:
        kind, value = value["__type__"], value.get("__value__")
        value = f"<{value[1]}>" if kind == "tasktree-output" else value
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST_VALUE else f"{text[: _LONGEST_VALUE - 1]}…"


def error_label(error_type: str, message: str) -> str:
    """Show an error in one line: the last part of its type, and its message."""
    name = error_type.rpartition(".")[2]
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
