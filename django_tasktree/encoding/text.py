"""Texts that every supported database can store.

PostgreSQL refuses NUL, no driver encodes half of a surrogate pair, and columns have a length. :func:`storable` escapes
and cuts texts that inform (errors, names of workers). Texts that identify something (names, keys) are never changed:
:func:`check_storable` raises an error if they can't be stored.
"""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

from django_tasktree.exceptions import InvalidText

#: The length of the columns that hold the name, the launch key and the definition of a run.
NAME_LENGTH = 200
#: The length of the columns that hold names of tasks, workers, actors and types of errors.
LONG_NAME_LENGTH = 255

#: The maximum number of levels of JSON. MariaDB refuses more than 32.
_MAX_DEPTH = 30
#: The characters that a supported database refuses.
UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def storable(text: str, longest: int | None = None) -> str:
    r"""Return a text with characters escaped that a database refuses (``\x00``, ``\ud800``), cut to a length.

    Args:
        text: any text.
        longest: the length of the column; None if it has none.
    """
    text = UNSTORABLE.sub(_escaped, text)
    if longest is not None and len(text) > longest:
        return f"{text[: longest - 1]}…"
    return text


def short_name(dotted: str) -> str:
    """Return the last part of a dotted name of a task or class; the whole name if nothing follows the last dot."""
    return dotted.rpartition(".")[2] or dotted


def cut_in_the_middle(text: str, longest: int) -> str:
    """Return a text without its middle if it has more than ``longest`` characters; keep its beginning and end."""
    if len(text) <= longest:
        return text
    half = longest // 2
    return f"{text[:half]}\n… {len(text) - 2 * half} characters left out …\n{text[-half:]}"


def is_storable(text: str) -> bool:
    """Return whether every database can store a text unchanged."""
    return UNSTORABLE.search(text) is None


def check_storable(field: str, text: str, longest: int | None = None) -> str:
    """Return a text unchanged.

    Args:
        field: the subject of the error message.
        text: the text.
        longest: the length of the column; None if it has none.

    Raises:
        InvalidText: if the text is too long, or contains a character that a supported database refuses.
    """
    if longest is not None and len(text) > longest:
        raise InvalidText.too_long(field, len(text), longest)
    found = UNSTORABLE.search(text)
    if found is not None:
        raise InvalidText.character(field, _escaped(found), found.start())
    return text


def check_json(field: str, value: Any) -> None:
    """Check that every database can store a value in a JSON column.

    Args:
        field: the subject of the error message.
        value: the value.

    Raises:
        InvalidText: if the value is not JSON, is nested too deep, or contains a character that a supported database
            refuses.
    """
    for depth, text in _texts(value):
        if depth > _MAX_DEPTH:
            raise InvalidText(f"{field}: JSON that is nested deeper than {_MAX_DEPTH} levels can't be stored")
        check_storable(field, text)
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError) as exc:
        raise InvalidText(f"{field} can't be stored as JSON: {text_of(exc)}") from exc


def readable_json(value: Any, *, indent: int | None = None) -> str:
    """Return a value as JSON for people: escape only characters that can't be encoded or stored.

    Args:
        value: the value.
        indent: as of ``json.dumps``.
    """
    # Half of a surrogate pair can only occur inside a text, where JSON has the same escape.
    return storable(json.dumps(value, indent=indent, ensure_ascii=False))


def text_of(value: Any, convert: Callable[[Any], str] = str) -> str:
    """Return the text of any object, or a substitute if its ``__str__`` raises.

    Args:
        value: the object.
        convert: ``str`` or ``repr``.
    """
    try:
        # A subclass of str may have methods of its own.
        return str.__str__(convert(value))
    except BaseException as exc:  # noqa: BLE001  the object may raise anything, also KeyboardInterrupt
        return f"<its text can't be shown: {type_name(type(exc))}>"


def type_name(kind: type) -> str:
    """Return the dotted name of a type, even if its metaclass raises or its module is not a text."""
    try:
        module, name = kind.__module__, kind.__qualname__
    except BaseException:  # noqa: BLE001  the metaclass may raise anything, also KeyboardInterrupt
        module, name = None, None
    if not isinstance(name, str):
        name = type.__dict__["__name__"].__get__(kind)
    return f"{module}.{name}" if isinstance(module, str) else str(name)


def _texts(value: Any) -> Iterator[tuple[int, str]]:
    """Yield the depth and the text of each item of a JSON value; the text is empty for other types."""
    stack = [(0, value)]
    while stack:
        depth, item = stack.pop()
        yield depth, item if isinstance(item, str) else ""
        if depth > _MAX_DEPTH:
            continue
        if isinstance(item, dict):
            stack.extend((depth + 1, part) for pair in item.items() for part in pair)
        elif isinstance(item, (list, tuple)):
            stack.extend((depth + 1, part) for part in item)


def _escaped(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode("ascii")
