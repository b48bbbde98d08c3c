"""Find nodes that a lost process has left behind: started ones, and finished ones that were not settled."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django_tasktree.conf import settings
from django_tasktree.encoding import times
from django_tasktree.engine.heartbeats import not_lost, workers
from django_tasktree.engine.lifecycle.quorum import decided_quorums, with_waiting_quorums
from django_tasktree.engine.lifecycle.settle import nothing_left_below
from django_tasktree.engine.lifecycle.tolerance import missed_failures
from django_tasktree.engine.recovery.scan import Scan, unsettled
from django_tasktree.engine.transitions import nodes
from django_tasktree.engine.types import DISPATCH_COLUMNS, Dispatch
from django_tasktree.states import NODE_FINAL, NodeState

#: Seconds after the end of a node during which a worker may still be about to settle it.
IN_PASSING = 10


@dataclass(frozen=True, slots=True)
class Orphan:
    """A started node whose worker is considered lost.

    Attributes:
        dispatch: the node, with the lost attempt's task ID.
        worker: the name of the lost worker.
        last_seen: the worker's last heartbeat; None if the worker's row was deleted, because the worker shut down
            while the task function was running.
    """

    dispatch: Dispatch
    worker: str
    last_seen: datetime | None


def orphans(scan: Scan, now: datetime) -> Iterator[Orphan]:
    """Find started nodes whose worker is lost.

    Two kinds of nodes are left out: nodes that were started less than ``WORKER_LOST_AFTER`` seconds ago, as their
    worker may not have sent its first heartbeat, and nodes without a worker, which a process runs in eager mode.

    Args:
        scan: the extent of the pass.
        now: the database's time.
    """
    kept = not_lost(now)
    grace = timedelta(seconds=settings.worker_lost_after)
    for page in scan.pages("STARTED", unsettled(NodeState.STARTED), "worker_id", "started_at"):
        lost = [
            key for key, worker_id, at in page if worker_id and worker_id not in kept and times.elapsed(at, now) > grace
        ]
        if lost:
            yield from _read(lost)


def _read(ids: list[UUID]) -> Iterator[Orphan]:
    started = nodes().filter(id__in=ids, state=NodeState.STARTED)
    rows: list[tuple[Any, ...]] = list(started.values_list("worker", "worker_id", *DISPATCH_COLUMNS))
    seen = dict(workers().filter(id__in={row[1] for row in rows}).values_list("id", "last_seen"))
    for worker, worker_id, *columns in rows:
        yield Orphan(Dispatch.of_columns(columns), worker, seen.get(worker_id))


def finished_unsettled_nodes(scan: Scan, now: datetime) -> Iterator[tuple[UUID, UUID]]:
    """Find finished nodes that are not settled, although nothing is left below them, or what happened there decides.

    That is so if the quorum of a gather node is decided there, or more nodes have failed than are tolerated.

    Args:
        scan: the extent of the pass.
        now: the time.

    Yields:
        The ID of the run and the ID of the node.
    """
    grace = timedelta(seconds=IN_PASSING)
    for state in sorted(NODE_FINAL):
        for page in scan.pages(state, unsettled(state), "finished_at", "tolerated"):
            old = [key for key, at, _ in page if at is None or times.elapsed(at, now) > grace]
            some = unsettled(state).filter(id__in=old)
            yield from list(nothing_left_below(some).values_list("run_id", "id"))
            for run_id, key in list(with_waiting_quorums(some).values_list("run_id", "id")):
                if decided_quorums(run_id, key):
                    yield run_id, key
            tolerant = [key for key, _, tolerated in page if tolerated is not None]
            if tolerant:
                yield from missed_failures(unsettled(state).filter(id__in=tolerant))
