"""What one run of a shape costs: statements, messages, bytes of PostgreSQL's log (WAL), and updates of rows."""

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.db import connection
from django_celery_results.models import TaskResult

from benchmarks import environment, tallies
from benchmarks.shapes import Shape
from benchmarks.tallies import Tallies
from benchmarks.waits import wait_for_idle_worker, wait_until
from django_tasktree.dispatch.capacities import forget_workers
from django_tasktree.models import NodeRun, TreeRun
from testproject.celery import app

#: Launches a shape, and returns a function that returns whether it has ended.
Launch = Callable[[], Callable[[], bool]]


@dataclass(frozen=True)
class Usage:
    """The costs of one run.

    Attributes:
        tasks: the number of nodes, or of tasks of a canvas.
        seconds: the time from the launch to the end.
        launch_statements: the statements of the launch.
        statements: the statements of the worker's pool processes.
        messages: all messages.
        wal: the bytes of the log. All databases of the server share it.
        updates: the updated rows of the table of nodes, or of results for a canvas.
        hot: those that changed no index (*heap-only tuples*).
    """

    tasks: int
    seconds: float
    launch_statements: int
    statements: int
    messages: int
    wal: int
    updates: int
    hot: int

    @property
    def hot_share(self) -> float | None:
        """The share of updates that changed no index; None without updates."""
        return self.hot / self.updates if self.updates else None


def usage_of_tree(shape: Shape, size: int, *, node: dict[str, Any] | None = None, **worker: Any) -> Usage:
    """Run a shape as a tree.

    Args:
        shape: the shape.
        size: its size.
        node: the message options of each node.
        **worker: the arguments of ``environment.worker``.
    """
    tree = shape.tree(size, **(node or {}))
    return _usage(lambda: tree.apply_async().ready, shape.tasks(size), NodeRun, worker)


def usage_of_canvas(shape: Shape, size: int, **worker: Any) -> Usage:
    """Run a shape as a canvas whose results are stored in the database."""
    tasks = shape.tasks(size)

    def launch() -> Callable[[], bool]:
        result = shape.canvas(app, size)
        if result is not None:
            return result.ready  # type: ignore[no-any-return]
        return lambda: TaskResult.objects.filter(status="SUCCESS").count() >= tasks

    return _usage(launch, tasks, TaskResult, worker)


def _usage(launch: Launch, tasks: int, model: Any, worker: dict[str, Any]) -> Usage:
    empty_tables()
    with tempfile.TemporaryDirectory() as directory:
        here, there = Tallies(Path(directory) / "here"), Tallies(Path(directory) / "there")
        with _updates(model) as updates, _worker(directory, worker):
            wal, started = _wal(), time.perf_counter()
            with here.counting():
                is_over = launch()
            wait_until(is_over, tasks)
            seconds = time.perf_counter() - started
            wait_for_idle_worker()
            wal = _wal() - wal
        return Usage(
            tasks=tasks,
            seconds=seconds,
            launch_statements=here.statements,
            statements=there.statements,
            messages=here.messages + there.messages,
            wal=wal,
            updates=updates[0],
            hot=updates[1],
        )


@contextmanager
def _worker(directory: str, options: dict[str, Any]) -> Iterator[None]:
    with environment.worker(**options, variables={tallies.VARIABLE: str(Path(directory) / "there")}):
        forget_workers()
        yield


def empty_tables() -> None:
    """Delete all runs and results."""
    names = ", ".join(model._meta.db_table for model in (TreeRun, NodeRun, TaskResult))
    with connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE {names} CASCADE")


def _wal() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')")
        return int(cursor.fetchone()[0])


@contextmanager
def _updates(model: Any) -> Iterator[list[int]]:
    """Yield a list that contains the updates, and those that changed no index, after the block."""
    counts: list[int] = []
    before = _read_updates(model)
    yield counts
    counts += [after - earlier for earlier, after in zip(before, _read_updates(model), strict=True)]


def _read_updates(model: Any) -> tuple[int, int]:
    # The server's processes add up what they counted when they end, at the latest.
    connection.close()
    wait_until(lambda: not _others())
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = %s", [model._meta.db_table]
        )
        updates, hot = cursor.fetchone()
    return updates, hot


def _others() -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            " AND backend_type = 'client backend'"
        )
        return int(cursor.fetchone()[0])
