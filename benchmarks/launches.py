"""Measure how fast fan-outs are launched: their nodes stored, and their messages sent. No worker runs meanwhile."""

import os
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

from django.test import override_settings

from benchmarks.options import Options
from benchmarks.rounds import measured
from benchmarks.shapes import SHAPES
from benchmarks.tables import Table
from benchmarks.usage import empty_tables
from django_tasktree.dispatch.capacities import forget_workers
from django_tasktree.engine.heartbeats import WorkerSpec, beat
from testproject.celery import app

SIZES = (1_000, 10_000)
_GROUP = SHAPES["group"]


def tables(options: Options) -> Iterator[Table]:
    """Yield the speed of launches."""
    title = f"Nodes of a fan-out, launched per second; medians of {options.rounds} rounds"
    table = Table(title, ["how", "nodes", "per second"])
    for size in (max(2, round(size * options.scale_factor)) for size in SIZES):
        contenders = {name: _contender(run, size) for name, run in _WAYS.items()}
        for name, seconds in measured(options.rounds, contenders).items():
            table.add(name, f"{size:,}", f"{size / statistics.median(seconds):,.0f}")
    yield table


def _shared(size: int) -> float:
    # As a worker of two processes that was seen a moment ago: a few messages reach all of them.
    spec = WorkerSpec(uuid4(), "benchmark", os.getpid(), concurrency=2, queues=[app.conf.task_default_queue])
    beat(lambda: spec)
    return _seconds_of_launch(size)


def _own(size: int) -> float:
    with override_settings(TASKTREE={"SHARE_MESSAGE_FOR": 0}):
        return _seconds_of_launch(size)


def _seconds_of_launch(size: int) -> float:
    tree = _GROUP.tree(size)
    return _seconds(tree.apply_async)


def _canvas(size: int) -> float:
    return _seconds(lambda: _GROUP.canvas(app, size))


_WAYS: dict[str, Callable[[int], float]] = {
    "tree, few messages": _shared,
    "tree, own messages": _own,
    "canvas: messages alone": _canvas,
}


def _seconds(launch: Callable[[], Any]) -> float:
    forget_workers()
    started = time.perf_counter()
    launch()
    return time.perf_counter() - started


def _contender(run: Callable[[int], float], size: int) -> Callable[[], float]:
    def measure() -> float:
        empty_tables()
        app.control.purge()
        return run(size)

    return measure
