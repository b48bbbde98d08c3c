"""How the last hours went, in numbers: what a dashboard shows.

However many runs and nodes there are, only those are looked at that are open, or were made within the window; of nodes
at most ``MOST_NODES``, the newest.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Avg, Count, DurationField, ExpressionWrapper, F, Max, Q

from django_tasktree import times
from django_tasktree.identifiers import first_id_since
from django_tasktree.models import NodeRun, TreeRun
from django_tasktree.states import NODE_FINAL, RUN_FINAL, NodeState, RunState

#: Hours of the window; the last of them is the one that is going on.
HOURS = 24
MOST_NODES = 100_000
#: How many of the oldest nodes that wait are looked at, and how many of a list are told.
_OLDEST, FEW = 500, 8


@dataclass(frozen=True)
class Window:
    """The time that numbers are about.

    Attributes:
        start: the beginning of its first hour, as are all times of this module an instant.
        first_node: the key of the first node that counts.
        is_cut: whether nodes were left out since there are too many.
    """

    start: datetime
    first_node: UUID
    is_cut: bool

    @classmethod
    def until(cls, now: datetime) -> "Window":
        """Choose the hours before now, as clocks in the current time zone show them, and the newest nodes from them."""
        this_hour = times.instant(times.local(now).replace(minute=0, second=0, microsecond=0))
        start = this_hour - timedelta(hours=HOURS - 1)
        first = first_id_since(start)
        newest = NodeRun.objects.filter(id__gte=first).order_by("-id").values_list("id", flat=True)
        cut: UUID | None = next(iter(newest[MOST_NODES : MOST_NODES + 1]), None)
        return cls(start, cut or first, cut is not None)

    def hour(self, number: int) -> datetime:
        """The beginning of an hour, from 0."""
        return self.start + timedelta(hours=number)


@dataclass(frozen=True)
class Hour:
    """What ended in one hour.

    Attributes:
        start: its beginning.
        by_state: state -> number.
    """

    start: datetime
    by_state: Mapping[str, int]

    @property
    def total(self) -> int:
        """How many ended."""
        return sum(self.by_state.values())


@dataclass(frozen=True)
class TaskNumbers:
    """How a task did in the window.

    Attributes:
        task: its name.
        ended: how many nodes of it ended.
        failed: how many of them failed.
        mean: how long they took.
        longest: how long the slowest took.
    """

    task: str
    ended: int
    failed: int
    mean: timedelta
    longest: timedelta

    @property
    def failed_percent(self) -> float:
        """How many of a hundred failed."""
        return 100 * self.failed / self.ended


def open_runs() -> dict[str, int]:
    """Count the runs that have not ended, by state."""
    states = [state for state in RunState.values if state not in RUN_FINAL]
    return _by_state(TreeRun.objects.filter(state__in=states))


def open_nodes() -> dict[str, int]:
    """Count the nodes that have not ended, by state."""
    states = [state for state in NodeState.values if state not in NODE_FINAL]
    return _by_state(NodeRun.objects.filter(settled=False, state__in=states))


def _by_state(rows: Any) -> dict[str, int]:
    return dict(rows.order_by().values_list("state").annotate(n=Count("*")))


def runs_per_hour(window: Window) -> list[Hour]:
    """Count the runs that ended, hour by hour."""
    return _per_hour(window, TreeRun.objects.filter(finished_at__gte=window.start, state__in=RUN_FINAL))


def nodes_per_hour(window: Window) -> list[Hour]:
    """Count the nodes that ran and ended, hour by hour."""
    ran = NodeRun.objects.filter(id__gte=window.first_node, finished_at__gte=window.start, started_at__isnull=False)
    return _per_hour(window, ran)


def task_numbers(window: Window) -> list[TaskNumbers]:
    """Sum up the nodes that ended, by task."""
    took = ExpressionWrapper(F("finished_at") - F("started_at"), output_field=DurationField())
    ended = NodeRun.objects.filter(id__gte=window.first_node, finished_at__isnull=False, started_at__isnull=False)
    failed = Count("pk", filter=Q(state=NodeState.FAILURE))
    numbers = {"ended": Count("*"), "failures": failed, "mean": Avg(took), "longest": Max(took)}
    rows = ended.order_by().values_list("task").annotate(**numbers)
    return [TaskNumbers(*row) for row in rows]


def slowest(tasks: list[TaskNumbers]) -> list[TaskNumbers]:
    """Choose those that took longest."""
    return sorted(tasks, key=lambda each: each.mean, reverse=True)[:FEW]


def most_failing(tasks: list[TaskNumbers]) -> list[TaskNumbers]:
    """Choose those of which most failed."""
    failing = [each for each in tasks if each.failed]
    return sorted(failing, key=lambda each: (each.failed, each.failed_percent), reverse=True)[:FEW]


def longest_waiting() -> list[Any]:
    """Give the nodes that have waited longest for a worker, of the oldest."""
    waiting = NodeRun.objects.filter(settled=False, state=NodeState.QUEUED, queued_at__isnull=False)
    columns = ("task", "queued_at", "eta", "options", "run__name", "run__state")
    oldest = waiting.order_by("id").select_related("run").only(*columns)[:_OLDEST]
    now = times.instant_now()
    # What is paused waits for somebody, not for a worker.
    late = [node for node in oldest if node.run.state == RunState.STARTED and not _waits_for_its_time(node, now)]
    return sorted(late, key=waits_since)[:FEW]


def _waits_for_its_time(node: Any, now: datetime) -> bool:
    if node.eta is not None:
        return times.instant(node.eta) > now
    # Until the sweep has written it into the row, the time stands in the options alone.
    return '"countdown"' in node.options or '"eta"' in node.options


def waits_since(node: Any) -> datetime:
    """Tell since when a node has waited for a worker."""
    queued_at = times.instant(node.queued_at)
    return max(queued_at, times.instant(node.eta)) if node.eta else queued_at


def _per_hour(window: Window, rows: Any) -> list[Hour]:
    numbers = range(HOURS)
    hours = {
        f"hour_{number}": Count(
            "pk", filter=Q(finished_at__gte=window.hour(number), finished_at__lt=window.hour(number + 1))
        )
        for number in numbers
    }
    states = list(rows.order_by().values("state").annotate(**hours))
    return [
        Hour(window.hour(number), {row["state"]: row[f"hour_{number}"] for row in states if row[f"hour_{number}"]})
        for number in numbers
    ]
