"""Stored calls in one line, for pages and terminals; nothing is ever unpickled for that."""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

from django_tasktree.stand_ins import stand_in_text
from django_tasktree.text import readable_json

#: Longer values are cut in the middle: siblings often differ at the end.
_LONGEST = 60
#: Private-use character that marks text to print without quotes.
_BARE = "\ue000"
#: How kombu writes what JSON has no type for.
_MARKED = {"__type__", "__value__"}
#: How Celery writes a signature.
_SIGNATURE = {"task", "args", "kwargs", "options"}
_STORED_FORM = re.compile(r'\{"(?:__|task")')
_BLANK = re.compile(r"[\s,:]*")


def call_text(task: str, args: str, kwargs: str, *, quotes: bool = True) -> str:
    """Show a node as a call: the last part of the task's name, and its arguments.

    Args:
        task: the dotted name.
        args: the stored positional arguments, or the beginning of them.
        kwargs: the stored keyword arguments, or the beginning of them.
        quotes: whether texts are in quotes.
    """
    positional = [_line(value, quotes=quotes) for _, value in _parts(args)]
    named = [
        f"{name}={_line(value, quotes=quotes)}" if name else _line(value, quotes=quotes)
        for name, value in _parts(kwargs)
    ]
    return f"{task.rpartition('.')[2]}({', '.join([*positional, *named])})"


def typed_text(kind: Any, content: Any) -> str:
    """Show a value that JSON has no type for.

    Args:
        kind: the type that is written beside it.
        content: what is written there.
    """
    if is_reference(kind, content):
        return f"{content[1]}{''.join(f'[{step!r}]' for step in content[2:])}"
    if kind == "uuid" and isinstance(content, dict) and set(content) == {"hex"}:
        return _uuid(content["hex"])
    return stand_in_text(kind, content) or (content if isinstance(content, str) else readable_json(content))


def is_reference(kind: Any, content: Any) -> bool:
    """Return whether a stored value is a reference to another node's result."""
    return kind == "tasktree-output" and isinstance(content, list) and len(content) > 1


def _uuid(text: Any) -> str:
    try:
        return str(UUID(text))
    except (ValueError, AttributeError, TypeError):
        return str(text)


def _parts(text: str) -> Iterator[tuple[str, Any]]:
    """Read stored arguments as far as they go: each with its name, which is empty for positional ones."""
    if text[:1] not in ("[", "{"):
        # A pickle.
        yield "", _bare("…")
        return
    scan: Callable[[str, int], tuple[Any, int]] = json.JSONDecoder(object_hook=_shown).raw_decode
    at = 1
    while (at := _after_blank(text, at)) < len(text) and text[at] not in "]}":
        name = ""
        try:
            if text[0] == "{":
                name, at = scan(text, at)
                at = _after_blank(text, at)
            value, at = scan(text, at)
        except (ValueError, RecursionError):
            yield name, _bare(_cut_off(text[at:]))
            return
        yield name, value
    if at >= len(text):
        yield "", _bare("…")


def _after_blank(text: str, at: int) -> int:
    found = _BLANK.match(text, at)
    return found.end() if found else at


def _cut_off(text: str) -> str:
    """Show the beginning of a value whose end is not known, up to a stored form, which tells nobody anything."""
    found = _STORED_FORM.search(text)
    return f"{text[: _LONGEST if found is None else min(_LONGEST, found.start())]}…"


def _shown(value: dict[str, Any]) -> Any:
    if value.keys() == _MARKED:
        text = typed_text(value["__type__"], value["__value__"])
        return text if value["__type__"] == "tasktree-path" else _bare(text)
    if value.keys() >= _SIGNATURE and isinstance(value["task"], str):
        return _bare(_signature(value))
    return value


def _signature(value: dict[str, Any]) -> str:
    parts = [_line(each) for each in value["args"]] if isinstance(value["args"], list) else []
    if isinstance(value["kwargs"], dict):
        parts += [f"{name}={_line(each)}" for name, each in value["kwargs"].items()]
    return f"{value['task'].rpartition('.')[2]}({', '.join(parts)})"


def _bare(text: str) -> str:
    return f"{_BARE}{text}{_BARE}"


def _line(value: Any, *, quotes: bool = True) -> str:
    """Write a value on one line, what is marked as bare without quotes."""
    text = value if isinstance(value, str) and not quotes else readable_json(value)
    text = re.sub(f'"?{_BARE}(.*?){_BARE}"?', lambda found: _unescaped(found[1]), text)
    if len(text) <= _LONGEST:
        return text
    half = _LONGEST // 2
    return f"{text[: half - 1]}…{text[-half:]}"


def _unescaped(text: str) -> str:
    return text.replace('\\"', '"').replace("\\\\", "\\")
