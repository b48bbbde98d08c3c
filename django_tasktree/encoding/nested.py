"""Find and replace values inside nested lists, tuples and dicts."""

from collections.abc import Callable, Iterator
from typing import Any


def find_all(value: Any, wanted: type | tuple[type, ...]) -> Iterator[Any]:
    """Yield each value of the wanted type in nested lists, tuples and dicts, in no particular order."""
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, wanted):
            yield item
        elif isinstance(item, dict):
            stack.extend(item.values())
        elif isinstance(item, (list, tuple)):
            stack.extend(item)


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
    """
    if isinstance(value, wanted):
        return by(value)
    if isinstance(value, dict):
        return {key: replace(item, wanted, by) for key, item in value.items()}
    if isinstance(value, list):
        return [replace(item, wanted, by) for item in value]
    if type(value) is tuple:
        return tuple(replace(item, wanted, by) for item in value)
    return value


def paths(value: Any) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Yield each value that is not a list, tuple or dict, preceded by the keys and positions of its path, in order."""
    stack: list[tuple[tuple[Any, ...], Any]] = [((), value)]
    while stack:
        path, item = stack.pop()
        if isinstance(item, dict):
            stack.extend(((*path, key), part) for key, part in reversed(item.items()))
        elif isinstance(item, (list, tuple)):
            stack.extend(((*path, number), item[number]) for number in range(len(item) - 1, -1, -1))
        else:
            yield path, item
