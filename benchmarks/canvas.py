"""Measure the shapes on both sides, in turn, on one worker."""

import statistics
import time
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from benchmarks.shapes import SHAPES, Shape
from django_tasktree import TaskTree

#: Seconds between two looks at whether the end has come; the same for both sides.
INTERVAL = 0.01
PATIENCE = 600
#: Ours with Celery's result backend storing each result as well, and with the node's row alone.
VARIANTS: dict[str, dict[str, Any]] = {"ours": {}, "ours, ignore_result": {"ignore_result": True}}


@dataclass
class Figures:
    """Tasks a second by side, a list entry a round."""

    shape: str
    tasks: int
    rates: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def ratio(self, variant: str) -> tuple[float, float, float]:
        """The median, lowest and highest of the rounds' ratios to canvas."""
        pairs = [ours / canvas for ours, canvas in zip(self.rates[variant], self.rates["canvas"], strict=True)]
        return statistics.median(pairs), min(pairs), max(pairs)


def measure(rounds: int, scale: float) -> list[Figures]:
    """Run each shape on each side once a round, after a first round that is dropped."""
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
