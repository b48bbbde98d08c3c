"""References to other nodes' results inside a node's arguments.

A reference travels in rows and messages as a small JSON object; the worker that claims the node puts the results in
their places (``django_tasktree.worker.arguments``).
"""

from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from kombu.utils import json

#: A key of a dict or a position in a list on the way into a result.
Step = str | int


@dataclass(frozen=True)
class Reference:
    """The result of a node that was persisted, or the results of those below it.

    Attributes:
        node: the key of the node, or of the run: what is directly below it are the root nodes.
        kind: ``output`` (its result), ``outputs`` (its children's, in order), ``outcomes`` (their states, results and
            errors) or ``subtree_outputs`` (of each child the result of its gather node, or its own where it has none).
        path: keys and positions that lead into the result.
    """

    node: UUID
    kind: str
    path: tuple[Step, ...] = ()

    def pick(self, value: Any) -> Any:
        """Follow the path into the result.

        Raises:
            KeyError, IndexError, TypeError: the result has no such part.
        """
        for step in self.path:
            value = value[step]
        return value


@dataclass(frozen=True)
class Output:
    """A reference to a node that is still being built: ``node.output``, ``node.output["key"]``, ``node.outputs``."""

    node: Hashable
    kind: str
    path: tuple[Step, ...] = ()

    def __getitem__(self, step: Step) -> "Output":
        """Refer to a part of the result: a key of a dict, a position in a list."""
        if not isinstance(step, (str, int)):
            raise TypeError(f"a part of an output is named by a key or a position, not by {step!r}")
        return Output(self.node, self.kind, (*self.path, step))

    def __iter__(self) -> Any:
        """Refuse: how many parts there are is known only once the node has run."""
        raise TypeError("an output can't be iterated before its node has run: pass it on, and iterate in the task")


def bind(value: Any, refer: Callable[[Output], Reference]) -> tuple[Any, bool]:
    """Replace every :class:`Output` inside a value by a :class:`Reference`.

    Args:
        value: arguments of a node; lists, tuples and dicts in it are looked into, and never changed.
        refer: gives the reference that stands for an output.

    Returns:
        The value (itself where it holds no output), and whether it held outputs or references.
    """
    if next(find_all(value, (Output, Reference)), None) is None:
        return value, False
    return replace(value, Output, refer), True


def find_all(value: Any, wanted: type | tuple[type, ...]) -> Iterator[Any]:
    """Yield each value of the wanted type that stands anywhere inside lists, tuples and dicts."""
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, wanted):
            yield item
        elif isinstance(item, dict):
            stack.extend(item.values())
        elif isinstance(item, (list, tuple)):
            stack.extend(item)


def replace(value: Any, wanted: type, by: Callable[[Any], Any]) -> Any:
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


def _encode(reference: Reference) -> list[Any]:
    return [reference.node.hex, reference.kind, *reference.path]


def _decode(encoded: list[Any]) -> Reference:
    node, kind, *path = encoded
    return Reference(UUID(hex=node), kind, tuple(path))


json.register_type(Reference, "tasktree-output", _encode, _decode)
