"""Each shape as a tree, and as the canvas that Celery's documentation would use for it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from celery import chain, chord, group

from benchmarks.tasks import count, echo
from django_tasktree import TaskTree

FAN_OUT, DEPTH = 10, 3


@dataclass(frozen=True)
class Shape:
    """A tree and its canvas.

    Attributes:
        name: the name in the table.
        tasks: returns the number of tasks for a size.
        ours: adds the nodes to a tree; takes the size and the options of each node.
        canvas: launches the canvas; returns the result of its last task, or None if only the number of stored results
            shows that it has ended.
        size: the default size.
    """

    name: str
    tasks: Callable[[int], int]
    ours: Callable[[TaskTree, int, dict[str, Any]], None]
    canvas: Callable[[int], Any]
    size: int


def _our_group(tree: TaskTree, size: int, options: dict[str, Any]) -> None:
    for number in range(size):
        tree.add_task(echo, [number], **options)


def _canvas_group(size: int) -> Any:
    group(echo.si(number) for number in range(size)).apply_async()


def _our_chain(tree: TaskTree, size: int, options: dict[str, Any]) -> None:
    for number in range(size):
        tree.push(echo, [number], **options)


def _canvas_chain(size: int) -> Any:
    return chain(*[echo.si(number) for number in range(size)]).apply_async()


def _our_chord(tree: TaskTree, size: int, options: dict[str, Any]) -> None:
    root = tree.add_task(echo, **options)
    for number in range(size):
        root.add_task(echo, [number], **options)
    root.gather(count, [root.outputs], **options)


def _canvas_chord(size: int) -> Any:
    return chain(echo.si(), chord([echo.si(number) for number in range(size)], count.s())).apply_async()


def _our_tree(tree: TaskTree, size: int, options: dict[str, Any]) -> None:
    parents: list[Any] = [tree]
    for _ in range(DEPTH):
        parents = [parent.add_task(echo, **options) for parent in parents for _ in range(size)]


def _canvas_tree(size: int) -> Any:
    # Celery's link means "each child runs after its parent"; nested chords would wait for whole levels.
    for signature in _linked(size, DEPTH):
        signature.apply_async()


def _linked(size: int, depth: int) -> list[Any]:
    level: list[Any] = []
    for _ in range(depth):
        level = [echo.signature(immutable=True, options={"link": list(level)}) for _ in range(size)]
    return level


SHAPES = [
    Shape("group", lambda size: size, _our_group, _canvas_group, 1000),
    Shape("chain", lambda size: size, _our_chain, _canvas_chain, 300),
    Shape("chord", lambda size: size + 2, _our_chord, _canvas_chord, 500),
    Shape("tree", lambda size: sum(size**level for level in range(1, DEPTH + 1)), _our_tree, _canvas_tree, FAN_OUT),
]
