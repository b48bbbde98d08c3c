"""Texts that every supported database can store.

PostgreSQL refuses NUL, no driver encodes half of a surrogate pair, and columns have a length. Texts that inform
(errors, names of workers) are escaped and cut by :func:`storable`. Texts that identify (names, keys) are never changed:
:func:`check_storable` refuses what can't be stored.
"""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

from django_tasktree.exceptions import InvalidText

#: The length of the columns that hold the name, the key and the definition of a run.
NAME_LENGTH = 200
#: The length of the columns that hold names of tasks, workers, actors and types of errors.
LONG_NAME_LENGTH = 255

#: MariaDB takes no JSON that is nested deeper than 32 levels.
_DEEPEST = 30
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def storable(text: str, longest: int | None = None) -> str:
    r"""Escape what a database refuses, as Python would (``\x00``, ``\ud800``), and cut what is too long.

    Args:
        text: any text.
        longest: the length of the column; None where it has none.
    """
    text = _UNSTORABLE.sub(_escaped, text)
    if longest is not None and len(text) > longest:
        return f"{text[: longest - 1]}…"
    return text


def short_name(dotted: str) -> str:
    """Give the last part of the name of a task, or of a class of errors: the name without its module."""
    return dotted.rpartition(".")[2]


def cut_in_the_middle(text: str, longest: int) -> str:
    """Shorten a text, keeping its beginning and its end."""
    if len(text) <= longest:
        return text
    half = longest // 2
    return f"{text[:half]}\n… {len(text) - 2 * half} characters left out …\n{text[-half:]}"


def is_storable(text: str) -> bool:
    """Return whether every database can store the text as it is."""
    return _UNSTORABLE.search(text) is None


def check_storable(field: str, text: str, longest: int | None = None) -> str:
    """Return a text that a caller has given, unchanged.

    Args:
        field: what the text is, for the error.
        text: the text.
        longest: the length of the column; None where it has none.

    Raises:
        InvalidText: it is too long, or holds a character that some database refuses.
    """
    if longest is not None and len(text) > longest:
        raise InvalidText.too_long(field, len(text), longest)
    found = _UNSTORABLE.search(text)
    if found is not None:
        raise InvalidText.character(field, _escaped(found), found.start())
    return text


def check_json(field: str, value: Any) -> None:
    """Make sure that every database can store a value in a JSON column.

    Args:
        field: what the value is, for the error.
        value: the value.

    Raises:
        InvalidText: it is no JSON, is nested too deep, or holds a character that some database refuses.
    """
    for depth, text in _texts(value):
        if depth > _DEEPEST:
            raise InvalidText(f"{field}: JSON that is nested deeper than {_DEEPEST} levels can't be stored")
        check_storable(field, text)
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError) as exc:
        raise InvalidText(f"{field} can't be stored as JSON: {text_of(exc)}") from exc


def readable_json(value: Any, *, indent: int | None = None) -> str:
    """Return a value as JSON for people: characters as they are, but for what can be neither encoded nor stored."""
    # Half of a surrogate pair can only be inside a text, where its escape is JSON's own.
    return storable(json.dumps(value, indent=indent, ensure_ascii=False))


def text_of(value: Any, convert: Callable[[Any], str] = str) -> str:
    """Return the text of an object that somebody else wrote; its ``__str__`` may raise anything.

    Args:
        value: the object.
        convert: ``str`` or ``repr``.
    """
    try:
        # A subclass of str may have methods of its own.
        return str.__str__(convert(value))
    except BaseException as exc:  # noqa: BLE001  also KeyboardInterrupt, as it comes from the object
        return f"<its text can't be shown: {type_name(type(exc))}>"


def type_name(kind: type) -> str:
    """Return the dotted name of a type; its module may be anything, and its metaclass may raise."""
    try:
        module, name = kind.__module__, kind.__qualname__
    except BaseException:  # noqa: BLE001  also KeyboardInterrupt, as it comes from the metaclass
        module, name = None, None
    if not isinstance(name, str):
        name = type.__dict__["__name__"].__get__(kind)
    return f"{module}.{name}" if isinstance(module, str) else str(name)


def _texts(value: Any) -> Iterator[tuple[int, str]]:
    """Yield all texts in a JSON value with the depth at which they are; an empty text for anything else."""
    stack = [(0, value)]
    while stack:
        depth, item = stack.pop()
        yield depth, item if isinstance(item, str) else ""
        if depth > _DEEPEST:
            continue
        if isinstance(item, dict):
            stack.extend((depth + 1, part) for pair in item.items() for part in pair)
        elif isinstance(item, (list, tuple)):
            stack.extend((depth + 1, part) for part in item)


def _escaped(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode("ascii")
