"""The list of workers."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db.models import Count

from django_tasktree.conf import settings
from django_tasktree.encoding import times
from django_tasktree.engine.backends import database_now
from django_tasktree.engine.heartbeats import workers
from django_tasktree.engine.recovery.scan import unsettled
from django_tasktree.models import Worker
from django_tasktree.states import NodeState


@dataclass(frozen=True, slots=True)
class ListedWorker:
    """An entry of the list of workers.

    Attributes:
        row: the worker's row.
        running: the number of nodes that it is running.
        silent_for: the time since its last heartbeat.
    """

    row: Worker
    running: int
    silent_for: timedelta

    @property
    def is_alive(self) -> bool:
        """Whether its last heartbeat is not older than the setting ``WORKER_LOST_AFTER``."""
        return self.silent_for <= timedelta(seconds=settings.worker_lost_after)


def listed_workers() -> list[ListedWorker]:
    """Return the live workers and those that were lost within about the last hour, with three queries."""
    now = database_now()
    started = unsettled(NodeState.STARTED).filter(worker_id__isnull=False).order_by()
    running: dict[Any, int] = dict(started.values_list("worker_id").annotate(n=Count("*")))
    return [
        ListedWorker(row, running.get(row.id, 0), max(times.elapsed(row.last_seen, now), timedelta()))
        for row in workers()
    ]
