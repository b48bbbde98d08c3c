"""Measure how soon callers that wait notice the end of a run, and how many queries they need until then."""

import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from django.db import connections
from django.test import override_settings

from benchmarks.options import Options
from benchmarks.rounds import percentile
from benchmarks.tables import Table
from benchmarks.tasks import echo
from django_tasktree import TaskTree, TreeResult
from django_tasktree.builder.plan import plan_nodes
from django_tasktree.client.listener import stop_listening
from django_tasktree.engine.lifecycle.launch import launch
from django_tasktree.engine.lifecycle.stop import stop_run
from django_tasktree.engine.types import Placement, RunSpec
from django_tasktree.states import RunState

#: How many threads wait, each for a run of its own.
WAITERS = 20
#: The time after which the first and the last run end, in seconds.
FIRST, LAST = 2.0, 12.0
ROUNDS = 3


@dataclass
class Waiting:
    """The measurements of one way to wait."""

    name: str
    delays: list[float] = field(default_factory=list)
    queries: int = 0

    def percentile(self, percent: int) -> float:
        """Return a percentile of the delays in milliseconds."""
        return percentile(self.delays, percent) * 1000

    @property
    def queries_per_wait(self) -> float:
        """The number of queries for each wait."""
        return self.queries / len(self.delays)


def tables(options: Options) -> Iterator[Table]:
    """Yield how soon callers that wait notice the end."""
    title = "From the end of a run until a waiting caller notices it; milliseconds"
    table = Table(title, ["how", "waits", "p50", "p99", "queries per wait"])
    for way in waits(options.scale_factor):
        middle, late = f"{way.percentile(50):.1f}", f"{way.percentile(99):.1f}"
        table.add(way.name, str(len(way.delays)), middle, late, f"{way.queries_per_wait:.1f}")
    yield table


def waits(scale: float) -> list[Waiting]:
    """Wait with and without notifications in turn, and return the measurements."""
    ways = {True: Waiting("notified"), False: Waiting("polling only")}
    for _ in range(ROUNDS):
        for listen, way in ways.items():
            with override_settings(TASKTREE={"LISTEN": listen}):
                _measure(way, scale)
            stop_listening()
    return list(ways.values())


def _measure(way: Waiting, scale: float) -> None:
    results = [_launched() for _ in range(WAITERS)]
    ended: dict[Any, float] = {}
    lock = threading.Lock()

    def wait(result: TreeResult) -> None:
        with _counted() as counter:
            result.wait()
            noticed = time.perf_counter()
        with lock:
            way.delays.append(noticed - ended[result.id])
            way.queries += counter[0]

    threads = [threading.Thread(target=wait, args=[result]) for result in results]
    for thread in threads:
        thread.start()
    started = time.perf_counter()
    for result, moment in zip(results, sorted(random.uniform(FIRST, LAST) for _ in results), strict=True):
        time.sleep(max(0.0, started + moment * scale - time.perf_counter()))
        # Before the statement that ends the run: the delay includes its commit.
        ended[result.id] = time.perf_counter()
        # The engine sends no signal, by which this process would know it at once.
        stop_run(result.id, RunState.REVOKED)
    for thread in threads:
        thread.join()


def _launched() -> TreeResult:
    tree = TaskTree()
    tree.add_task(echo)
    spec = RunSpec()
    return TreeResult(launch(spec, plan_nodes(tree, Placement(spec.id))).run_id)


@contextmanager
def _counted() -> Iterator[list[int]]:
    """Count the queries of this thread; its connection is closed at the end."""
    counter = [0]

    def count(execute: Any, *args: Any) -> Any:
        counter[0] += 1
        return execute(*args)

    try:
        with connections["default"].execute_wrapper(count):
            yield counter
    finally:
        connections.close_all()
