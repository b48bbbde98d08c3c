"""The rows of workers: their heartbeats, and which of them live.

No worker is taken for lost unless another one was able to beat all the time: a database that was away, a clock that was
set, or a machine that slept would otherwise make every worker lost but the first that is back.
"""

import time
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from django_tasktree import times
from django_tasktree.conf import settings
from django_tasktree.engine.clock import database_now
from django_tasktree.engine.moves import write_alias
from django_tasktree.models import Worker
from django_tasktree.models.querysets import WorkerQuerySet
from django_tasktree.text import LONG_NAME_LENGTH, storable

#: Seconds for which the row of a lost worker can still be looked at.
_SHOWN_FOR = 3600
#: A gap of so many intervals never ends a series, however short the time after which a worker counts as lost.
_LEAST_PATIENCE = 1.5
#: The length of the column that holds the name of a pool.
_POOL_LENGTH = 100


@dataclass(frozen=True, slots=True)
class WorkerSpec:
    """What a worker writes into its row.

    Attributes:
        holds: the task ids of the messages that it has received and not ended.
    """

    id: UUID
    hostname: str
    pid: int
    pool: str = ""
    concurrency: int | None = None
    queues: list[str] = field(default_factory=list)
    holds: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Make the texts storable: a worker must keep its heartbeat whatever it is called."""
        object.__setattr__(self, "hostname", storable(self.hostname, LONG_NAME_LENGTH))
        object.__setattr__(self, "pool", storable(self.pool, _POOL_LENGTH))
        object.__setattr__(self, "queues", [storable(queue) for queue in self.queues])


def workers() -> WorkerQuerySet:
    """All workers, on the alias that the engine writes."""
    return Worker.objects.using(write_alias())


class Series:
    """The unbroken series of a worker's heartbeats, by the clock of the database and by its own."""

    def __init__(self) -> None:
        self._since: datetime | None = None
        self._last: tuple[datetime, float] | None = None

    def add(self, now: datetime) -> datetime:
        """Add a heartbeat, and return the time of the first one in the series.

        A new series begins where either clock shows a gap, or the database's was set back.

        Args:
            now: the database's time.
        """
        mine = time.monotonic()
        if self._since is None or self._last is None or self._is_broken(now, mine, *self._last):
            self._since = now
        self._last = now, mine
        return self._since

    def _is_broken(self, now: datetime, mine: float, last: datetime, my_last: float) -> bool:
        longest = max(
            settings.worker_lost_after - 2 * settings.heartbeat_interval, _LEAST_PATIENCE * settings.heartbeat_interval
        )
        gap = times.elapsed(last, now)
        return not timedelta() <= gap <= timedelta(seconds=longest) or mine - my_last > longest


def beat(worker: WorkerSpec, series: Series | None = None) -> None:
    """Record a heartbeat; the first one, and the first after the row was removed, inserts the row.

    Args:
        worker: the worker.
        series: the heartbeats before this one; None where this is the first.
    """
    now = database_now()
    row = {
        "last_seen": now,
        "beating_since": (series or Series()).add(now),
        "queues": worker.queues,
        "concurrency": worker.concurrency,
        "holds": worker.holds,
    }
    if workers().filter(id=worker.id).update(**row):
        return
    workers().create(
        id=worker.id,
        hostname=worker.hostname,
        pid=worker.pid,
        pool=worker.pool,
        started_at=now,
        **row,
    )


def sign_off(worker_id: UUID) -> None:
    """Remove the row of a worker that has shut down."""
    workers().filter(id=worker_id).delete()


def alive(now: datetime) -> WorkerQuerySet:
    """The workers that were seen lately.

    Args:
        now: the database's time.
    """
    return workers().seen_since(times.after(now, -settings.worker_lost_after))


def held_task_ids(now: datetime) -> set[str]:
    """Return the task ids of the messages that living workers hold.

    Args:
        now: the database's time.
    """
    return {task_id for holds in alive(now).values_list("holds", flat=True) for task_id in holds}


def living(now: datetime) -> set[UUID]:
    """Return the workers that must not be taken for lost.

    A worker is lost once another one has beaten, without a gap, for the time of ``WORKER_LOST_AFTER`` after its last
    heartbeat. Where the database's clock was set back, a heartbeat may also be in the future: a worker that lives would
    have beaten again since then.

    Args:
        now: the database's time.
    """
    rows = _seen()
    horizon = _horizon(now, rows)
    if horizon is None:
        return {row[0] for row in rows}
    future = times.after(now, settings.worker_lost_after)
    return {key for key, last_seen, _ in rows if horizon <= last_seen <= future}


def forget(now: datetime) -> int:
    """Remove rows of workers that have been lost for a while.

    Args:
        now: the database's time.

    Returns:
        How many there were.
    """
    rows = _seen()
    horizon = _horizon(now, rows)
    if horizon is None:
        return 0
    gone = [key for key, last_seen, _ in rows if last_seen < times.after(horizon, -_SHOWN_FOR)]
    return workers().filter(id__in=gone).delete()[0] if gone else 0


def _seen() -> list[tuple[UUID, datetime, datetime]]:
    return list(workers().values_list("id", "last_seen", "beating_since"))


def _horizon(now: datetime, rows: list[tuple[UUID, datetime, datetime]]) -> datetime | None:
    """Return the time since which others have beaten without a gap; None where no worker has for long enough."""
    patience = timedelta(seconds=settings.worker_lost_after)
    witnessed = [
        last_seen for _, last_seen, since in rows if last_seen <= now and times.elapsed(since, last_seen) >= patience
    ]
    return times.after(max(witnessed), -settings.worker_lost_after) if witnessed else None
