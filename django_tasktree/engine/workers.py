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


def beat(worker: WorkerSpec) -> None:
    """Say that a worker lives; at its first heartbeat, and where a sweep took it for lost, its row is made anew."""
    now = database_now()
    row = {"last_seen": now, "queues": worker.queues, "concurrency": worker.concurrency, "holds": worker.holds}
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


def forget(now: datetime) -> int:
    """Remove rows of workers that have been lost for a while.

    Args:
        now: the database's time.

    Returns:
        How many there were.
    """
    gone = workers().filter(last_seen__lt=times.after(now, -settings.worker_lost_after - _SHOWN_FOR))
    return gone.delete()[0]
