"""The rows of workers: their heartbeats, and which of them live."""

from dataclasses import dataclass, field
from datetime import datetime
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
#: The length of the column that holds the name of a pool.
_POOL_LENGTH = 100


@dataclass(frozen=True, slots=True)
class WorkerSpec:
    """What a worker tells of itself."""

    id: UUID
    hostname: str
    pid: int
    pool: str = ""
    concurrency: int | None = None
    queues: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Make the texts storable: a worker must keep its heartbeat whatever it is called."""
        object.__setattr__(self, "hostname", storable(self.hostname, LONG_NAME_LENGTH))
        object.__setattr__(self, "pool", storable(self.pool, _POOL_LENGTH))
        object.__setattr__(self, "queues", [storable(queue) for queue in self.queues])


def workers() -> WorkerQuerySet:
    """All workers, on the alias that the engine writes."""
    return Worker.objects.using(write_alias())


def beat(worker: WorkerSpec) -> None:
    """Say that a worker lives; at its first heartbeat, and where a sweep took it for lost, its row is made anew."""
    now = database_now()
    if workers().filter(id=worker.id).update(last_seen=now, queues=worker.queues, concurrency=worker.concurrency):
        return
    workers().create(
        id=worker.id,
        hostname=worker.hostname,
        pid=worker.pid,
        pool=worker.pool,
        concurrency=worker.concurrency,
        queues=worker.queues,
        started_at=now,
        last_seen=now,
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


def forget(now: datetime) -> int:
    """Remove rows of workers that have been lost for a while.

    Args:
        now: the database's time.

    Returns:
        How many there were.
    """
    gone = workers().filter(last_seen__lt=times.after(now, -settings.worker_lost_after - _SHOWN_FOR))
    return gone.delete()[0]
