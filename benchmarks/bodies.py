"""Measure fan-outs of tasks that take some time, with shared messages and without: ``python -m benchmarks bodies``."""

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from django.test import override_settings

from benchmarks import environment
from benchmarks.fans import FANS, Fan
from benchmarks.options import Options
from benchmarks.rounds import measured, speed
from benchmarks.tables import Table
from benchmarks.tasks import sleep
from benchmarks.waits import wait_until
from django_tasktree import TaskTree
from django_tasktree.dispatch.capacities import forget_workers

CONCURRENCIES = (2, 16)


@dataclass(frozen=True)
class Way:
    """A worker with a queue of its own, and how long its nodes share a message: None for the default."""

    suffix: str
    share_for: float | None

    @property
    def queue(self) -> str:
        """The name of the queue."""
        return environment.queue(self.suffix)

    @property
    def tasktree(self) -> dict[str, float]:
        """The setting ``TASKTREE``."""
        return {} if self.share_for is None else {"SHARE_MESSAGE_FOR": self.share_for}


_WAYS = {"shared": Way("-shared", None), "own": Way("-own", 0.0)}


def tables(options: Options) -> Iterator[Table]:
    """Yield the seconds of each fan-out."""
    headings = ("each task", "processes", "nodes", "at least", "shared messages", "own messages", "times as fast")
    title = f"Seconds of a fan-out, medians of {options.rounds} rounds; how many times as fast in the same round"
    for processes in CONCURRENCIES:
        table = Table(title, headings)
        with _workers(processes):
            for fan in FANS:
                table.add(fan.name, *_figures(fan.scaled(options.scale_factor), processes, options.rounds))
        yield table


def _figures(fan: Fan, processes: int, rounds: int) -> list[str]:
    runs: dict[str, Callable[[], float]] = {name: partial(_seconds, fan.durations, way) for name, way in _WAYS.items()}
    seconds = measured(rounds, runs)
    medians = [f"{statistics.median(seconds[name]):.2f}" for name in _WAYS]
    ratio = str(speed(seconds["shared"], seconds["own"]))
    return [str(processes), f"{len(fan.durations):,}", f"{fan.least(processes):.2f}", *medians, ratio]


@contextmanager
def _workers(processes: int) -> Iterator[None]:
    """Run a worker for each way; while one is measured, the other one has nothing to do."""
    shared, own = (environment.worker(processes, consumes=way.queue, tasktree=way.tasktree) for way in _WAYS.values())
    with shared, own:
        yield


def _seconds(durations: Sequence[float], way: Way) -> float:
    with override_settings(TASKTREE=way.tasktree):
        forget_workers()
        tree = TaskTree()
        for seconds in durations:
            tree.add_task(sleep, [seconds], queue=way.queue)
        started = time.perf_counter()
        result = tree.apply_async()
        wait_until(result.ready, len(durations))
        return time.perf_counter() - started
