"""Measure each shape as a tree and as a canvas, alternately, on one worker."""

import statistics
import time
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from benchmarks.shapes import SHAPES, Shape
from django_tasktree import TaskTree

#: Seconds between two polls for the end; the same for trees and canvases.
INTERVAL = 0.01
#: Seconds after which a benchmark is aborted.
PATIENCE = 600
#: Trees whose results are stored in the node's row and in Celery's result backend, and in the node's row alone.
VARIANTS: dict[str, dict[str, Any]] = {"ours": {}, "ours, ignore_result": {"ignore_result": True}}


@dataclass
class Figures:
    """The rates of one shape: variant -> tasks per second in each round."""

    shape: str
    tasks: int
    rates: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def ratio(self, variant: str) -> tuple[float, float, float]:
        """Return the median, minimum and maximum of the ratios to canvas in the same round."""
        pairs = [ours / canvas for ours, canvas in zip(self.rates[variant], self.rates["canvas"], strict=True)]
        return statistics.median(pairs), min(pairs), max(pairs)


def measure(rounds: int, scale: float) -> list[Figures]:
    """Return the rates of each shape. Each variant runs once per round; the first round is not counted."""
    figures = []
    for shape in SHAPES:
        size = max(2, round(shape.size * scale)) if shape.name != "tree" else shape.size
        entry = Figures(shape.name, shape.tasks(size))
        for number in range(rounds + 1):
            for side, seconds in _round(shape, size):
                if number:
                    entry.rates[side].append(entry.tasks / seconds)
        figures.append(entry)
    return figures


def _round(shape: Shape, size: int) -> list[tuple[str, float]]:
    timed = [(name, _ours(shape, size, options)) for name, options in VARIANTS.items()]
    return [*timed, ("canvas", _canvas(shape, size))]


def _ours(shape: Shape, size: int, options: dict[str, Any]) -> float:
    tree = TaskTree()
    shape.ours(tree, size, options)
    started = time.perf_counter()
    result = tree.apply_async()
    _wait(result.ready)
    return time.perf_counter() - started


def _canvas(shape: Shape, size: int) -> float:
    from django_celery_results.models import TaskResult

    TaskResult.objects.all().delete()
    tasks = shape.tasks(size)
    started = time.perf_counter()
    result = shape.canvas(size)
    if result is None:
        _wait(lambda: TaskResult.objects.filter(status="SUCCESS").count() >= tasks)
    else:
        _wait(result.ready)
    return time.perf_counter() - started


def _wait(ready: Any) -> None:
    deadline = time.monotonic() + PATIENCE
    while not ready():
        if time.monotonic() > deadline:
            raise TimeoutError(f"no end after {PATIENCE} s")
        time.sleep(INTERVAL)
