"""Started nodes whose worker is lost."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django_tasktree import times
from django_tasktree.conf import settings
from django_tasktree.engine.moves import nodes
from django_tasktree.engine.specs import DISPATCH_COLUMNS, Dispatch
from django_tasktree.engine.sweep.pages import Walk, unsettled
from django_tasktree.engine.workers import living, workers
from django_tasktree.states import NodeState


@dataclass(frozen=True, slots=True)
class Orphan:
    """A node whose body runs nowhere any more, as far as anybody can tell.

    Attributes:
        dispatch: the node, with the lost attempt's task id.
        worker: the name of the lost worker.
        last_seen: when it last gave a sign of life; None where its row is gone: it shut down in the middle of the body.
    """

    dispatch: Dispatch
    worker: str
    last_seen: datetime | None


def orphans(walk: Walk, now: datetime) -> Iterator[Orphan]:
    """Find started nodes whose worker is lost.

    A node that was started within the time of ``WORKER_LOST_AFTER`` is left alone: its worker may not have had its
    first heartbeat. So is one that no worker runs, but a process in eager mode.

    Args:
        walk: how far to look.
        now: the database's time.
    """
    alive = living(now)
    grace = timedelta(seconds=settings.worker_lost_after)
    for page in walk.pages("STARTED", unsettled(NodeState.STARTED), "worker_id", "started_at"):
        lost = [
            key
            for key, worker_id, at in page
            if worker_id and worker_id not in alive and times.elapsed(at, now) > grace
        ]
        if lost:
            yield from _read(lost)


def _read(ids: list[UUID]) -> Iterator[Orphan]:
    started = nodes().filter(id__in=ids, state=NodeState.STARTED)
    rows: list[tuple[Any, ...]] = list(started.values_list("worker", "worker_id", *DISPATCH_COLUMNS))
    seen = dict(workers().filter(id__in={row[1] for row in rows}).values_list("id", "last_seen"))
    for worker, worker_id, *columns in rows:
        yield Orphan(Dispatch(*columns), worker, seen.get(worker_id))
