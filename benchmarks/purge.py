"""Deleting old runs: what it takes, in time and memory, however many nodes there are."""

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
from django_tasktree.models import NodeRun, TreeRun

#: Nodes that are deleted, and how many runs they are spread over: many small ones, then one that has them all.
PURGED = ((10_000, 100), (1_000_000, 10_000), (1_000_000, 1))


@dataclass(frozen=True)
class Deleted:
    """One purge by the command, in a process of its own."""

    nodes: int
    runs: int
    seconds: float
    peak_memory: int


def purges(scale: float) -> Iterator[Deleted]:
    """Fill the tables, and delete it all with Celery's TaskResult rows."""
    for nodes, runs in PURGED:
        size = max(1, round(nodes * scale) // runs)
        for _ in range(runs):
            _insert_run(size)
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")
        seconds, memory = _run_command()
        if NodeRun.objects.exists() or TaskResult.objects.exists():
            raise RuntimeError("the purge has left something")
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
    """Write a run of one node with the others below it, as if it had ended long ago."""
    long_ago = timezone.now() - timedelta(days=60)
    run = TreeRun.objects.create(state="SUCCESS", finished_at=long_ago)
    values = {"run_id": run.id, "task": "benchmarks.tasks.echo", "state": "SUCCESS", "settled": True, "result": "1"}
    top = NodeRun.objects.create(**values, position=0, child_count=size - 1, finished_at=long_ago)
    if size > 1:
        _copy(NodeRun, top.id, size - 1, id="gen_random_uuid()", task_id="gen_random_uuid()", parent_id=f"'{top.id}'")
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


def _copy(model: Any, key: Any, times: int, **others: str) -> None:
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
