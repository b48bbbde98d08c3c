"""The rows of workers: their heartbeats, and which workers are lost.

A worker is considered lost only if another worker had heartbeats without a gap in the meantime. Otherwise, after an
outage of the database, a change of its clock or a suspended machine, the first worker that returns would consider all
others lost.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from django_tasktree.conf import settings
from django_tasktree.encoding import times
from django_tasktree.encoding.text import LONG_NAME_LENGTH, storable
from django_tasktree.engine.backends import database_now
from django_tasktree.engine.transitions import write_alias
from django_tasktree.models import Worker
from django_tasktree.models.querysets import WorkerQuerySet

#: Seconds for which the row of a lost worker is kept.
_SHOWN_FOR = 3600
#: A gap of up to this many heartbeat intervals never ends a series, however short ``WORKER_LOST_AFTER`` is.
_LEAST_PATIENCE = 1.5
#: The length of the column that holds the name of a pool.
_POOL_LENGTH = 100


@dataclass(frozen=True, slots=True)
class WorkerSpec:
    """The values that a worker writes to its row.

    Attributes:
        holds: the task IDs of the messages that the worker has received and not completed.
    """

    id: UUID
    hostname: str
    pid: int
    pool: str = ""
    concurrency: int | None = None
    queues: list[str] = field(default_factory=list)
    holds: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Make the texts storable, so that no name can prevent the heartbeat."""
        object.__setattr__(self, "hostname", storable(self.hostname, LONG_NAME_LENGTH))
        object.__setattr__(self, "pool", storable(self.pool, _POOL_LENGTH))
        object.__setattr__(self, "queues", [storable(queue) for queue in self.queues])


def workers() -> WorkerQuerySet:
    """Return all workers, on the database alias of the engine."""
    return WorkerQuerySet(Worker, using=write_alias())


class Series:
    """A worker's heartbeats without a gap, by the clock of the database and the monotonic clock of the worker."""

    def __init__(self) -> None:
        self._since: datetime | None = None
        self._last: tuple[datetime, float] | None = None

    def add(self, now: datetime) -> datetime:
        """Add a heartbeat.

        A new series begins if either clock shows a gap, or the database's clock was set back.

        Args:
            now: the database's time.

        Returns:
            The time of the first heartbeat in the series.
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


def beat(describe: Callable[[], WorkerSpec], series: Series | None = None) -> None:
    """Write a heartbeat to the worker's row; insert the row if it does not exist.

    Args:
        describe: returns the worker. It is called after the database's time is read, so that ``holds`` contains all
            messages that the worker had received at the time of the heartbeat.
        series: the earlier heartbeats; None if this is the first one.
    """
    now = database_now()
    worker = describe()
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
    """Delete the row of a worker that has shut down."""
    workers().filter(id=worker_id).delete()


def recently_seen(now: datetime) -> WorkerQuerySet:
    """Return the workers whose last heartbeat is at most ``WORKER_LOST_AFTER`` seconds old.

    The others are not necessarily lost: see :func:`not_lost`.

    Args:
        now: the database's time.
    """
    return workers().seen_since(times.after(now, -settings.worker_lost_after))


@dataclass(frozen=True, slots=True)
class Holdings:
    """The messages that recently seen workers hold.

    Attributes:
        task_ids: the task IDs of the messages that they have received and not completed.
        oldest_heartbeat: the time at which the last of them has recorded its messages, as an instant; None if no
            worker was seen recently.
        idle: for each queue, how many processes of the workers that consume it have no message.
    """

    task_ids: frozenset[str]
    oldest_heartbeat: datetime | None
    idle: dict[str, int]


def holdings(now: datetime) -> Holdings:
    """Return the messages that recently seen workers hold.

    Args:
        now: the database's time.
    """
    rows = list(recently_seen(now).values_list("last_seen", "holds", "queues", "concurrency"))
    idle: dict[str, int] = {}
    for _, holds, queues, concurrency in rows:
        for queue in queues:
            idle[queue] = idle.get(queue, 0) + max(0, (concurrency or 1) - len(holds))
    return Holdings(
        frozenset(task_id for _, holds, *_ in rows for task_id in holds),
        min((times.instant(last_seen) for last_seen, *_ in rows), default=None),
        idle,
    )


def not_lost(now: datetime) -> set[UUID]:
    """Return the IDs of the workers that must not be considered lost.

    A worker is lost if another worker had heartbeats without a gap for ``WORKER_LOST_AFTER`` seconds after its last
    one. A worker whose last heartbeat is more than ``WORKER_LOST_AFTER`` seconds in the future is lost too: the
    database's clock was set back, and a live worker would have overwritten that heartbeat.

    Args:
        now: the database's time.
    """
    rows = _seen()
    horizon = _horizon(now, rows)
    if horizon is None:
        return {row[0] for row in rows}
    future = times.instant(now) + timedelta(seconds=settings.worker_lost_after)
    return {key for key, last_seen, _ in rows if horizon <= last_seen <= future}


def forget(now: datetime) -> int:
    """Delete the rows of workers that have been lost for an hour.

    Args:
        now: the database's time.

    Returns:
        How many rows were deleted.
    """
    rows = _seen()
    horizon = _horizon(now, rows)
    if horizon is None:
        return 0
    gone = [key for key, last_seen, _ in rows if last_seen < horizon - timedelta(seconds=_SHOWN_FOR)]
    return workers().filter(id__in=gone).delete()[0] if gone else 0


def _seen() -> list[tuple[UUID, datetime, datetime]]:
    """Return the ID, the last heartbeat and the start of the series of each worker; both times are instants."""
    rows = workers().values_list("id", "last_seen", "beating_since")
    return [(key, times.instant(last_seen), times.instant(since)) for key, last_seen, since in rows]


def _horizon(now: datetime, rows: list[tuple[UUID, datetime, datetime]]) -> datetime | None:
    """Return the time before which a last heartbeat means that the worker is lost.

    Args:
        now: the database's time.
        rows: the result of :func:`_seen`.

    Returns:
        The time, as an instant; None if no worker had heartbeats without a gap for ``WORKER_LOST_AFTER`` seconds.
    """
    patience = timedelta(seconds=settings.worker_lost_after)
    present = times.instant(now)
    witnessed = [last_seen for _, last_seen, since in rows if last_seen <= present and last_seen - since >= patience]
    return max(witnessed) - patience if witnessed else None
