"""Each shape as a tree, and as the canvas that Celery's documentation would use for it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from celery import chain, chord, group

from benchmarks import tasks
from django_tasktree import TaskTree

FAN_OUT, DEPTH = 10, 3
#: The number of calls in a message of Celery's ``chunks``.
CHUNK = 100


@dataclass(frozen=True)
class Shape:
    """A tree and its canvas.

    Attributes:
        name: the name in the table.
        tasks: returns the number of tasks for a size.
        ours: adds the nodes to a tree; takes the size and the options of each node.
        canvas: launches the canvas on a Celery application; returns the result of its last task, or None if only the
            number of stored results shows that it has ended.
        sizes: the sizes that are measured.
        depth: the number of tasks grows with the size to this power.
    """

    name: str
    tasks: Callable[[int], int]
    ours: Callable[[TaskTree, int, dict[str, Any]], None]
    canvas: Callable[[Any, int], Any]
    sizes: tuple[int, ...]
    depth: int = 1

    def scaled(self, scale: float) -> list[int]:
        """Return the sizes that are measured, with the number of tasks multiplied by about a factor."""
        return [max(2, round(size * scale ** (1 / self.depth))) for size in self.sizes]

    def tree(self, size: int, **options: Any) -> TaskTree:
        """Return a tree of this shape, whose nodes have the same message options."""
        tree = TaskTree()
        self.ours(tree, size, options)
        return tree


def _our_group(tree: TaskTree, size: int, options: dict[str, Any]) -> None:
    for number in range(size):
        tree.add_task(tasks.echo, [number], **options)


def _canvas_group(app: Any, size: int) -> None:
    group(_echo(app).si(number) for number in range(size)).apply_async()


def chunks(app: Any, size: int) -> int:
    """Launch a group as ``chunks``, and return the number of its messages: each has many calls, and one result."""
    _echo(app).chunks(zip(range(size), strict=True), CHUNK).apply_async()
    return -(-size // CHUNK)


def _our_chain(tree: TaskTree, size: int, options: dict[str, Any]) -> None:
    for number in range(size):
        tree.push(tasks.echo, [number], **options)


def _canvas_chain(app: Any, size: int) -> Any:
    return chain(*[_echo(app).si(number) for number in range(size)]).apply_async()


def _our_chord(tree: TaskTree, size: int, options: dict[str, Any]) -> None:
    root = tree.add_task(tasks.echo, **options)
    for number in range(size):
        root.add_task(tasks.echo, [number], **options)
    root.gather(tasks.count, [root.outputs], **options)


def _canvas_chord(app: Any, size: int) -> Any:
    body = app.tasks[tasks.plain_count.name].s()
    return chain(_echo(app).si(), chord([_echo(app).si(number) for number in range(size)], body)).apply_async()


def _our_map(tree: TaskTree, size: int, options: dict[str, Any]) -> None:
    root = tree.add_task(tasks.numbers, [size], **options)
    items = root.map(tasks.echo, over=root.output, tolerate="2%", **options)
    items.gather(tasks.count, [items.outputs], **options)


def _our_tree(tree: TaskTree, size: int, options: dict[str, Any]) -> None:
    parents: list[Any] = [tree]
    for _ in range(DEPTH):
        parents = [parent.add_task(tasks.echo, **options) for parent in parents for _ in range(size)]


def _canvas_tree(app: Any, size: int) -> None:
    # Celery's link means "each child runs after its parent"; nested chords would wait for whole levels.
    for signature in _linked(app, size, DEPTH):
        signature.apply_async()


def _linked(app: Any, size: int, depth: int) -> list[Any]:
    level: list[Any] = []
    for _ in range(depth):
        level = [_echo(app).signature(immutable=True, options={"link": list(level)}) for _ in range(size)]
    return level


def _echo(app: Any) -> Any:
    return app.tasks[tasks.plain_echo.name]


def _in_tree(size: int) -> int:
    return sum(size**level for level in range(1, DEPTH + 1))


SHAPES = {
    shape.name: shape
    for shape in (
        Shape("group", lambda size: size, _our_group, _canvas_group, (1_000, 10_000)),
        Shape("chain", lambda size: size, _our_chain, _canvas_chain, (300,)),
        Shape("chord", lambda size: size + 2, _our_chord, _canvas_chord, (500,)),
        Shape("tree", _in_tree, _our_tree, _canvas_tree, (FAN_OUT,), DEPTH),
    )
}
#: A chord whose members are known only at run time, which no canvas can be without a task that replaces itself.
MAP = Shape("map", lambda size: size + 3, _our_map, _canvas_chord, (500,))
