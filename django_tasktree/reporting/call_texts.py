"""Texts of stored calls on one line, for pages and terminals. Pickles are never loaded for them."""

import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from uuid import UUID

from django_tasktree.encoding.placeholders import ITEM_TYPE, OUTPUT_TYPE, written
from django_tasktree.encoding.stand_ins import stand_in_text
from django_tasktree.encoding.text import readable_json, short_name

#: The maximum number of characters of a value. Longer ones are cut in the middle: siblings often differ at the end.
_MAX_LENGTH = 60
#: Private-use character that marks text to print without quotes.
_BARE = "\ue000"
#: The keys with which kombu writes values that JSON has no type for.
_MARKED = {"__type__", "__value__"}
#: The keys with which Celery writes a signature.
_SIGNATURE = {"task", "args", "kwargs", "options"}
_STORED_FORM = re.compile(r'\{"(?:__|task")')
_BLANK = re.compile(r"[\s,:]*")


def call_text(task: str, args: str, kwargs: str, *, quotes: bool = True) -> str:
    """Return a node as a call, such as ``resize("a.png", width=200)``.

    Args:
        task: the dotted name of the task; its last part is shown.
        args: the stored positional arguments, or the beginning of them.
        kwargs: the stored keyword arguments, or the beginning of them.
        quotes: whether texts are in quotes.
    """
    positional = [_line(value, quotes=quotes) for _, value in _parts(args)]
    named = [
        f"{name}={_line(value, quotes=quotes)}" if name else _line(value, quotes=quotes)
        for name, value in _parts(kwargs)
    ]
    return f"{short_name(task)}({', '.join([*positional, *named])})"


def texts_of_siblings(calls: Sequence[tuple[str, str, str]]) -> list[str]:
    """Return a short text for each of some siblings: the task, and the arguments that differ from those of the others.

    Args:
        calls: the task, and the stored positional and keyword arguments or their beginnings, of each node.
    """
    arguments = [_arguments(args, kwargs) for _, args, kwargs in calls]
    values: dict[tuple[str, int | str], set[str | None]] = defaultdict(set)
    of_task: dict[str, list[dict[int | str, str]]] = defaultdict(list)
    for (task, _, _), own in zip(calls, arguments, strict=True):
        of_task[task].append(own)
    for task, group in of_task.items():
        for key in {key for own in group for key in own}:
            values[task, key] = {own.get(key) for own in group}
    return [
        _short_call(task, [text for key, text in own.items() if len(values[task, key]) > 1])
        for (task, _, _), own in zip(calls, arguments, strict=True)
    ]


def _arguments(args: str, kwargs: str) -> dict[int | str, str]:
    """Return the texts of stored arguments, by position or name."""
    positional = {number: _line(value) for number, (_, value) in enumerate(_parts(args))}
    return positional | {name: f"{name}={_line(value)}" if name else _line(value) for name, value in _parts(kwargs)}


def _short_call(task: str, arguments: list[str]) -> str:
    return f"{short_name(task)}({', '.join(arguments)})" if arguments else short_name(task)


def typed_text(kind: Any, content: Any) -> str:
    """Return the text of a value that JSON has no type for.

    Args:
        kind: the stored type, ``__type__``.
        content: the stored content, ``__value__``.
    """
    if is_reference(kind, content):
        return written(content[1], content[2:])
    if kind == ITEM_TYPE and isinstance(content, list):
        return written("ITEM", content)
    if kind == "uuid" and isinstance(content, dict) and set(content) == {"hex"}:
        return _uuid(content["hex"])
    return stand_in_text(kind, content) or (content if isinstance(content, str) else readable_json(content))


def is_reference(kind: Any, content: Any) -> bool:
    """Return whether a stored value is a reference to another node's result.

    Args:
        kind: the stored type, ``__type__``.
        content: the stored content, ``__value__``.
    """
    return kind == OUTPUT_TYPE and isinstance(content, list) and len(content) > 1


def _uuid(text: Any) -> str:
    try:
        return str(UUID(text))
    except (ValueError, AttributeError, TypeError):
        return str(text)


def _parts(text: str) -> Iterator[tuple[str, Any]]:
    """Yield the name and the value of each stored argument, as far as the text goes; positional ones have no name."""
    if text[:1] not in ("[", "{"):
        # The arguments are pickled.
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
    match = _BLANK.match(text, at)
    return match.end() if match else at


def _cut_off(text: str) -> str:
    """Return the beginning of a value whose end is missing, without stored forms, which are unreadable for people."""
    match = _STORED_FORM.search(text)
    return f"{text[: _MAX_LENGTH if match is None else min(_MAX_LENGTH, match.start())]}…"


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
    return f"{short_name(value['task'])}({', '.join(parts)})"


def _bare(text: str) -> str:
    return f"{_BARE}{text}{_BARE}"


def _line(value: Any, *, quotes: bool = True) -> str:
    """Return a value on one line, with marked texts without quotes."""
    text = value if isinstance(value, str) and not quotes else readable_json(value)
    text = re.sub(f'"?{_BARE}(.*?){_BARE}"?', lambda match: _unescaped(match[1]), text)
    if len(text) <= _MAX_LENGTH:
        return text
    half = _MAX_LENGTH // 2
    return f"{text[: half - 1]}…{text[-half:]}"


def _unescaped(text: str) -> str:
    return text.replace('\\"', '"').replace("\\\\", "\\")
