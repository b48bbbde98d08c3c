"""Find and replace values inside nested lists, tuples and dicts."""

from collections.abc import Callable, Iterator
from typing import Any

from django_tasktree.encoding.text import type_name
from django_tasktree.exceptions import SerializationError


def find_all(value: Any, wanted: type | tuple[type, ...]) -> Iterator[Any]:
    """Yield each value of the wanted type in nested lists, tuples and dicts, in no particular order.

    A list, tuple or dict that occurs several times is searched once, so the search ends even if one contains itself.
    """
    stack = [value]
    # The containers themselves, so that their ids are not used again during the search.
    searched: dict[int, Any] = {}
    while stack:
        item = stack.pop()
        if isinstance(item, wanted):
            yield item
        elif isinstance(item, (dict, list, tuple)) and id(item) not in searched:
            searched[id(item)] = item
            stack.extend(item.values() if isinstance(item, dict) else item)


def holds(value: Any, wanted: type | tuple[type, ...]) -> bool:
    """Return whether nested lists, tuples and dicts contain a value of the wanted type."""
    return next(find_all(value, wanted), None) is not None


def replace(value: Any, wanted: type | tuple[type, ...], by: Callable[[Any], Any]) -> Any:
    """Return a copy of nested lists, tuples and dicts in which each value of the wanted type is replaced.

    The function recurses: its depth is that of a task's arguments, not that of a tree.

    Args:
        value: any value; it is not changed. Named tuples and other subclasses of tuple are not searched.
        wanted: the type or types of the values to replace.
        by: returns the replacement of a value.

    Raises:
        SerializationError: a list, tuple or dict contains itself, or they are nested too deeply.
    """
    try:
        return _replace(value, wanted, by)
    except RecursionError as exc:
        raise SerializationError.of(type_name(type(value)), "it contains itself, or is nested too deeply") from exc


def _replace(value: Any, wanted: type | tuple[type, ...], by: Callable[[Any], Any]) -> Any:
    if isinstance(value, wanted):
        return by(value)
    if isinstance(value, dict):
        return {key: _replace(item, wanted, by) for key, item in value.items()}
    if isinstance(value, list):
        return [_replace(item, wanted, by) for item in value]
    if type(value) is tuple:
        return tuple(_replace(item, wanted, by) for item in value)
    return value


def paths(value: Any) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Yield each value that is not a list, tuple or dict, preceded by the keys and positions of its path, in order.

    A list, tuple or dict that contains itself is yielded there, like such a value.
    """
    stack: list[tuple[tuple[Any, ...], Any, tuple[int, ...]]] = [((), value, ())]
    while stack:
        path, item, above = stack.pop()
        if not isinstance(item, (dict, list, tuple)) or id(item) in above:
            yield path, item
            continue
        parts = list(item.items()) if isinstance(item, dict) else list(enumerate(item))
        stack.extend(((*path, key), part, (*above, id(item))) for key, part in reversed(parts))
