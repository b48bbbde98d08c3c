"""Look for values, and replace them, inside lists, tuples and dicts."""

from collections.abc import Callable, Iterator
from typing import Any


def find_all(value: Any, wanted: type | tuple[type, ...]) -> Iterator[Any]:
    """Yield each value of the wanted type that is anywhere inside lists, tuples and dicts."""
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
    """Return whether a value of the wanted type is anywhere inside lists, tuples and dicts."""
    return next(find_all(value, wanted), None) is not None


def replace(value: Any, wanted: type | tuple[type, ...], by: Callable[[Any], Any]) -> Any:
    """Copy a value with each inner value of the wanted type replaced.

    Its depth is that of the arguments that somebody wrote, not of a tree, so it may recurse.
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
    """Yield each value that is no list, tuple or dict, with the keys and positions that lead to it, in order."""
    stack: list[tuple[tuple[Any, ...], Any]] = [((), value)]
    while stack:
        path, item = stack.pop()
        if isinstance(item, dict):
            stack.extend(((*path, key), part) for key, part in reversed(item.items()))
        elif isinstance(item, (list, tuple)):
            stack.extend(((*path, number), item[number]) for number in range(len(item) - 1, -1, -1))
        else:
            yield path, item
