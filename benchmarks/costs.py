"""Measure what a node costs: ``python -m benchmarks costs``. Nothing else may write to the PostgreSQL server."""

from collections.abc import Callable, Iterator

from benchmarks.options import Options
from benchmarks.shapes import SHAPES, Shape
from benchmarks.tables import Table
from benchmarks.usage import Usage, usage_of_canvas, usage_of_tree

#: The sizes of the fan-outs whose cost for each node is compared.
GROWING = (1_000, 10_000, 100_000, 1_000_000)

_WAYS: dict[str, Callable[[Shape, int], Usage]] = {
    "tree": lambda shape, size: usage_of_tree(shape, size),
    "tree, ignore_result": lambda shape, size: usage_of_tree(shape, size, node={"ignore_result": True}),
    "canvas, django-db": lambda shape, size: usage_of_canvas(shape, size),
}


def tables(options: Options) -> Iterator[Table]:
    """Yield the costs of each shape, and those of fan-outs of growing size."""
    yield _shapes(options.scale_factor)
    yield _growth(options.largest)


def _shapes(scale: float) -> Table:
    headings = ("shape", "tasks", "how", "statements", "at launch", "messages", "WAL bytes", "updates", "HOT")
    table = Table("For each task of a shape", headings, labels=3)
    for shape in SHAPES.values():
        size = shape.scaled(scale)[0]
        for name, run in _WAYS.items():
            table.add(shape.name, f"{shape.tasks(size):,}", name, *_figures(run(shape, size)))
    return table


def _figures(usage: Usage) -> list[str]:
    hot = "" if usage.hot_share is None else f"{usage.hot_share:.0%}"
    counts = (usage.statements, usage.launch_statements, usage.messages)
    return [
        *[f"{count / usage.tasks:.3f}" for count in counts],
        f"{usage.wal / usage.tasks:,.0f}",
        f"{usage.updates / usage.tasks:.2f}",
        hot,
    ]


def _growth(largest: int) -> Table:
    headings = ("nodes", "milliseconds", "to the first", "statements", "to the first")
    table = Table("For each node of a fan-out", headings, labels=0)
    first: Usage | None = None
    for size in GROWING:
        if size <= max(largest, GROWING[0]):
            usage = usage_of_tree(SHAPES["group"], size)
            first = first or usage
            table.add(f"{size:,}", *_growing(usage, first))
    return table


def _growing(usage: Usage, first: Usage) -> list[str]:
    cells = []
    for unit, digits, name in ((1000, 2, "seconds"), (1, 3, "statements")):
        one, other = (getattr(each, name) / each.tasks for each in (usage, first))
        cells += [f"{one * unit:.{digits}f}", f"{one / other:.2f}"]
    return cells
