"""The workers, and how many bodies each of them runs."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db.models import Count

from django_tasktree import times
from django_tasktree.conf import settings
from django_tasktree.engine.clock import database_now
from django_tasktree.engine.sweep.pages import unsettled
from django_tasktree.engine.workers import workers
from django_tasktree.models import Worker
from django_tasktree.states import NodeState


@dataclass(frozen=True, slots=True)
class ListedWorker:
    """A worker as lists show it.

    Attributes:
        row: its row.
        running: how many bodies it runs.
        silent_for: since its last sign of life.
    """

    row: Worker
    running: int
    silent_for: timedelta

    @property
    def is_alive(self) -> bool:
        """Whether it was seen within the setting ``WORKER_LOST_AFTER``."""
        return self.silent_for <= timedelta(seconds=settings.worker_lost_after)


def listed_workers() -> list[ListedWorker]:
    """Read all workers that there are, and those that were lost within the hour, in three queries."""
    now = database_now()
    started = unsettled(NodeState.STARTED).filter(worker_id__isnull=False).order_by()
    running: dict[Any, int] = dict(started.values_list("worker_id").annotate(n=Count("*")))
    return [
        ListedWorker(row, running.get(row.id, 0), max(times.elapsed(row.last_seen, now), timedelta()))
        for row in workers()
    ]
