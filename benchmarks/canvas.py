"""Measure each shape as a tree and as a canvas, alternately: ``python -m benchmarks canvas``."""

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from benchmarks import environment, redis_results
from benchmarks.options import Options
from benchmarks.rounds import measured, speed
from benchmarks.shapes import CHUNK, SHAPES, Shape, chunks
from benchmarks.tables import Table
from benchmarks.waits import wait_until
from testproject.celery import app as database_app

#: Trees whose results are stored in the node's row and in Celery's result backend, and in the node's row alone.
OURS: dict[str, dict[str, Any]] = {"tree": {}, "tree, ignore_result": {"ignore_result": True}}


@dataclass(frozen=True)
class Store:
    """Where the results of canvases are stored.

    Attributes:
        app: the Celery application.
        clear: deletes all results.
        count: returns how many tasks have a result.
    """

    app: Any
    clear: Callable[[], object]
    count: Callable[[], int]


def tables(options: Options) -> Iterator[Table]:
    """Yield the speed of each shape."""
    theirs = ["canvas, django-db", "canvas, Redis", f"chunks of {CHUNK}"]
    title = f"Tasks per second, medians of {options.rounds} rounds; how many times as fast in the same round"
    table = Table(title, ["shape", "tasks", "how", "per second", *[f"to {name}" for name in theirs]], labels=3)
    with environment.worker(), environment.worker(app="benchmarks.redis_results", tasktree={"SWEEP": False}):
        for shape in SHAPES.values():
            for size in shape.scaled(options.scale_factor):
                seconds = measured(options.rounds, contenders(shape, size))
                for name, mine in seconds.items():
                    tasks = shape.tasks(size)
                    ratios = [
                        str(speed(mine, seconds[other])) if name in OURS and other in seconds else ""
                        for other in theirs
                    ]
                    table.add(shape.name, f"{tasks:,}", name, f"{tasks / statistics.median(mine):,.0f}", *ratios)
    yield table


def contenders(shape: Shape, size: int) -> dict[str, Callable[[], float]]:
    """Return the ways to run a shape: name -> runs it once, and returns the seconds."""
    stores = _stores()
    runs: dict[str, Callable[[], float]] = {
        name: partial(seconds_of_tree, shape, size, **options) for name, options in OURS.items()
    }
    runs["canvas, django-db"] = partial(_canvas, shape, size, stores["django-db"])
    runs["canvas, Redis"] = partial(_canvas, shape, size, stores["Redis"])
    if shape.name == "group":
        runs[f"chunks of {CHUNK}"] = partial(_chunks, size, stores["django-db"])
    return runs


def seconds_of_tree(shape: Shape, size: int, **options: Any) -> float:
    """Run a shape as a tree, and return the seconds from its launch to its end."""
    tree = shape.tree(size, **options)
    started = time.perf_counter()
    result = tree.apply_async()
    wait_until(result.ready, shape.tasks(size))
    return time.perf_counter() - started


def seconds_of_canvas(shape: Shape, size: int) -> float:
    """Run a shape as a canvas with results in the database, and return the seconds."""
    return _canvas(shape, size, _stores()["django-db"])


def _canvas(shape: Shape, size: int, store: Store) -> float:
    store.clear()
    tasks = shape.tasks(size)
    started = time.perf_counter()
    result = shape.canvas(store.app, size)
    wait_until(result.ready if result is not None else lambda: store.count() >= tasks, tasks)
    return time.perf_counter() - started


def _chunks(size: int, store: Store) -> float:
    store.clear()
    started = time.perf_counter()
    messages = chunks(store.app, size)
    wait_until(lambda: store.count() >= messages, size)
    return time.perf_counter() - started


def _stores() -> dict[str, Store]:
    from django_celery_results.models import TaskResult

    rows = TaskResult.objects
    return {
        "django-db": Store(database_app, lambda: rows.all().delete(), lambda: rows.filter(status="SUCCESS").count()),
        "Redis": Store(redis_results.app, redis_results.clear, redis_results.count),
    }
