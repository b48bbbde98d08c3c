"""Measure maps of a result: the time in which the children are made, and the memory beside the list of items."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks import environment
from benchmarks.options import Options
from benchmarks.tables import Table
from benchmarks.tasks import count, echo, numbers
from benchmarks.usage import empty_tables
from benchmarks.waits import wait_until
from django_tasktree import TaskTree, TreeResult
from django_tasktree.dispatch.capacities import forget_workers
from django_tasktree.models import NodeRun
from django_tasktree.states import RunState

MAPPED = (1_000, 100_000, 1_000_000)

_PEAK = re.compile(r"^VmHWM:\s+(\d+) kB$", re.MULTILINE)


@dataclass(frozen=True)
class Mapped:
    """The measurements of a map of a result.

    Attributes:
        items: the number of items.
        making: the time in which the map node makes its children, in seconds.
        with_list: the peak memory of a pool process that runs a task with the list as its argument, in bytes.
        with_map: the peak memory of a pool process that makes the children of the map and runs them, in bytes.
    """

    items: int
    making: float
    with_list: int
    with_map: int


def tables(options: Options) -> Iterator[Table]:
    """Yield what maps of growing size need."""
    headings = ("items", "made per second", "MB with the list", "MB with the map")
    table = Table("A map of a result, on a worker with one process", headings, labels=0)
    for row in maps(options.largest):
        table.add(
            f"{row.items:,}",
            f"{row.items / row.making:,.0f}",
            f"{row.with_list / 1e6:.0f}",
            f"{row.with_map / 1e6:.0f}",
        )
    yield table


def maps(largest: int) -> Iterator[Mapped]:
    """Run maps of results of growing size, and yield the measurements."""
    for items in MAPPED:
        if items <= max(largest, MAPPED[0]):
            yield _mapped(items)


def _mapped(items: int) -> Mapped:
    tree = TaskTree()
    source = tree.add_task(numbers, [items])
    source.add_task(count, [source.output])
    _, with_list = _run(tree, items)
    tree = TaskTree()
    source = tree.add_task(numbers, [items])
    source.map(echo, over=source.output, label="map", ignore_result=True)
    result, with_map = _run(tree, items)
    node = NodeRun.objects.get(run_id=result.id, label="map")
    if node.child_count != items:
        raise RuntimeError(f"the map of {items} items has {node.child_count} children")
    assert node.started_at is not None
    assert node.finished_at is not None
    return Mapped(items, (node.finished_at - node.started_at).total_seconds(), with_list, with_map)


def _run(tree: TaskTree, tasks: int) -> tuple[TreeResult, int]:
    """Run a tree on a new worker; return its handle, and the peak memory of the pool process in bytes."""
    empty_tables()
    with _worker() as pid:
        result = tree.apply_async()
        wait_until(result.ready, tasks)
        if result.state != RunState.SUCCESS:
            raise RuntimeError(f"the run is {result.state}")
        return result, max(_peak(process.pid) for process in psutil.Process(pid).children(recursive=True))


@contextmanager
def _worker() -> Iterator[int]:
    with environment.worker(concurrency=1) as pid:
        forget_workers()
        yield pid


def _peak(pid: int) -> int:
    """Return the largest memory that a process has had, in bytes (Linux only)."""
    found = _PEAK.search(Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) * 1024
