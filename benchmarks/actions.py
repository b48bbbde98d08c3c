"""Measure actions on many nodes, in batches and in one transaction: the longest transaction blocks others."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any
from unittest import mock
from uuid import UUID

from django.db import connection, transaction
from django.utils import timezone

from benchmarks.options import Options
from benchmarks.purge import copy_row
from benchmarks.tables import Table
from django_tasktree import NodeResult, TreeResult
from django_tasktree.control import changes, operations
from django_tasktree.engine.deletion.rows import delete_runs
from django_tasktree.models import NodeRun, TreeRun

SIZES = (1_000, 10_000, 100_000)


@dataclass(frozen=True)
class Measured:
    """The measurements of one action on a root node and everything below it, in seconds."""

    action: str
    nodes: int
    in_batches: float
    longest_transaction: float
    at_once: float


def tables(options: Options) -> Iterator[Table]:
    """Yield the durations of actions."""
    headings = ("action", "nodes", "seconds", "longest transaction", "in one transaction")
    table = Table("Actions on a root node and everything below it; seconds", headings)
    for row in measurements(options.scale_factor):
        longest = f"{row.longest_transaction:.3f}"
        table.add(row.action, f"{row.nodes:,}", f"{row.in_batches:.2f}", longest, f"{row.at_once:.2f}")
    yield table


def measurements(scale: float) -> Iterator[Measured]:
    """Perform each action on runs of growing size, and yield the measurements; no messages are sent."""
    for size in SIZES:
        for action, (state, act) in _ACTIONS.items():
            nodes = max(2, round(size * scale))
            with (
                mock.patch.object(operations, "advance_and_settle_after_commit"),
                mock.patch.object(changes, "advance_and_settle_after_commit"),
            ):
                batches, longest = _measured(_insert_run(nodes, state), act, nullcontext())
                at_once, _ = _measured(_insert_run(nodes, state), act, transaction.atomic())
            yield Measured(action, nodes, batches, longest, at_once)


def _retry(run_id: UUID, _top: UUID) -> None:
    TreeResult(run_id).retry()


def _rerun(_run_id: UUID, top: UUID) -> None:
    NodeResult(top).rerun()


def _revoke(run_id: UUID, _top: UUID) -> None:
    TreeResult(run_id).revoke()


def _pause(_run_id: UUID, top: UUID) -> None:
    NodeResult(top).pause()


#: Name of the action -> the state of all nodes but the root node before, and the function that performs it.
_ACTIONS: dict[str, tuple[str, Callable[[UUID, UUID], None]]] = {
    "retry": ("FAILURE", _retry),
    "rerun": ("SUCCESS", _rerun),
    "revoke": ("QUEUED", _revoke),
    "pause": ("QUEUED", _pause),
}


def _measured(run: tuple[UUID, UUID], act: Callable[[UUID, UUID], None], context: Any) -> tuple[float, float]:
    """Return the duration of an action and that of its longest transaction, in seconds."""
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    with _timed_transactions() as lengths:
        started = time.perf_counter()
        with context:
            act(*run)
        seconds = time.perf_counter() - started
    with transaction.atomic():
        delete_runs([run[0]])
    return seconds, max(lengths)


@contextmanager
def _timed_transactions() -> Iterator[list[float]]:
    lengths: list[float] = []
    begun = [0.0]
    set_autocommit, commit = connection.set_autocommit, connection.commit

    def beginning(autocommit: bool, *args: Any, **kwargs: Any) -> None:
        begun[0] = time.perf_counter()
        set_autocommit(autocommit, *args, **kwargs)

    def committing() -> None:
        commit()
        lengths.append(time.perf_counter() - begun[0])

    with (
        mock.patch.object(connection, "set_autocommit", beginning),
        mock.patch.object(connection, "commit", committing),
    ):
        yield lengths


def _insert_run(size: int, state: str) -> tuple[UUID, UUID]:
    """Insert a run of a successful root node, with all other nodes below it in the given state."""
    is_over = state in ("FAILURE", "SUCCESS")
    now = timezone.now()
    run = TreeRun.objects.create(state=state if is_over else "STARTED", finished_at=now if is_over else None)
    values = {"run_id": run.id, "task": "benchmarks.tasks.echo", "position": 0, "attempts": 1, "started_at": now}
    top = NodeRun.objects.create(**values, state="SUCCESS", settled=is_over, child_count=size - 1, finished_at=now)
    child = NodeRun.objects.create(
        **values, state=state, settled=is_over, subtree_failed=state == "FAILURE", finished_at=now, parent_id=top.id
    )
    copy_row(NodeRun, child.id, size - 2, id="gen_random_uuid()", task_id="gen_random_uuid()")
    return run.id, top.id
