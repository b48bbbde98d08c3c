"""Measure the time and memory for deleting old runs."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from django.db import connection
from django.utils import timezone
from django_celery_results.models import TaskResult

from benchmarks.environment import ROOT
from benchmarks.options import Options
from benchmarks.tables import Table
from django_tasktree.models import NodeRun, TreeRun

#: The number of nodes to delete, and the number of runs that they belong to: many small runs, then one large run.
PURGED = ((10_000, 100), (1_000_000, 10_000), (1_000_000, 1))


@dataclass(frozen=True)
class Deleted:
    """The measurements of one purge: seconds, and peak memory in bytes."""

    nodes: int
    runs: int
    seconds: float
    peak_memory: int


def tables(options: Options) -> Iterator[Table]:
    """Yield the speed and memory of purges."""
    title = "manage.py tasktree purge --task-results, in a separate process"
    table = Table(title, ["nodes", "runs", "nodes per second", "peak memory in MB"], labels=0)
    for row in purges(options.scale_factor):
        rate = f"{row.nodes / row.seconds:,.0f}"
        table.add(f"{row.nodes:,}", f"{row.runs:,}", rate, f"{row.peak_memory / 1e6:.0f}")
    yield table


def purges(scale: float) -> Iterator[Deleted]:
    """Insert runs, delete them with Celery's TaskResult rows, and yield the measurements."""
    for nodes, runs in PURGED:
        size = max(1, round(nodes * scale) // runs)
        for _ in range(runs):
            _insert_run(size)
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")
        seconds, memory = _run_command()
        if NodeRun.objects.exists() or TaskResult.objects.exists():
            raise RuntimeError("the purge did not delete all rows")
        yield Deleted(size * runs, runs, seconds, memory)


def _run_command() -> tuple[float, int]:
    command = [sys.executable, "manage.py", "tasktree", "purge", "--older-than", "1d", "--task-results"]
    started = time.perf_counter()
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, env=dict(os.environ))
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise RuntimeError(f"the purge ended with status {status}")
    return time.perf_counter() - started, usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _insert_run(size: int) -> None:
    """Insert a run that ended long ago: one root node with the other nodes below it."""
    long_ago = timezone.now() - timedelta(days=60)
    run = TreeRun.objects.create(state="SUCCESS", finished_at=long_ago)
    values = {"run_id": run.id, "task": "benchmarks.tasks.echo", "state": "SUCCESS", "settled": True, "result": "1"}
    top = NodeRun.objects.create(**values, position=0, child_count=size - 1, finished_at=long_ago)
    if size > 1:
        copy_row(
            NodeRun, top.id, size - 1, id="gen_random_uuid()", task_id="gen_random_uuid()", parent_id=f"'{top.id}'"
        )
    _insert_task_results(run.id)


def _insert_task_results(run_id: UUID) -> None:
    template = TaskResult.objects.create(task_id=str(uuid4()), status="SUCCESS", result="1")
    columns = ", ".join(_columns(TaskResult, skip={"id", "task_id"}))
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {TaskResult._meta.db_table} (task_id, {columns}) "
            f"SELECT CAST(node.task_id AS text), {', '.join(f'template.{name}' for name in columns.split(', '))} "
            f"FROM {TaskResult._meta.db_table} template, {NodeRun._meta.db_table} node "
            "WHERE template.id = %s AND node.run_id = %s",
            [template.pk, run_id],
        )
    template.delete()


def copy_row(model: Any, key: Any, times: int, **others: str) -> None:
    """Insert copies of a row.

    Args:
        model: the model of the row.
        key: the primary key of the row.
        times: the number of copies.
        **others: column -> SQL expression, for columns that get another value.
    """
    columns = _columns(model)
    selected = ", ".join(others.get(name, name) for name in columns)
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {model._meta.db_table} ({', '.join(columns)}) "
            f"SELECT {selected} FROM {model._meta.db_table}, generate_series(1, %s) WHERE id = %s",
            [times, key],
        )


def _columns(model: Any, skip: frozenset[str] | set[str] = frozenset()) -> list[str]:
    return [field.column for field in model._meta.concrete_fields if field.column not in skip]
