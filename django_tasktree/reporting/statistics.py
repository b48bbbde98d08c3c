"""The statistics of the last hours for a dashboard.

Only open runs and nodes, runs that ended within the window and nodes that were created within it are read; of the
latter at most ``MAX_NODES``, the newest.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Avg, Count, DurationField, ExpressionWrapper, F, Max, Q

from django_tasktree.encoding import times
from django_tasktree.encoding.ids import first_id_since
from django_tasktree.models import NodeRun, TreeRun
from django_tasktree.states import NODE_FINAL, RUN_FINAL, NodeState, RunState

#: The number of hours of the window; the last one is the current hour.
HOURS = 24
#: The maximum number of nodes that are read, and of open nodes in each state that are counted.
MAX_NODES = 100_000
#: The number of the oldest waiting nodes that are read.
_OLDEST = 500
#: The length of the lists.
MAX_LISTED = 8


@dataclass(frozen=True)
class Window:
    """The period of the statistics.

    Attributes:
        start: the start of the first hour; like all times of this module it is an instant.
        first_node: the smallest ID of the nodes that are read.
        is_cut: whether there are more than ``MAX_NODES`` nodes, so that the oldest are left out.
    """

    start: datetime
    first_node: UUID
    is_cut: bool

    @classmethod
    def until(cls, now: datetime) -> "Window":
        """Return the window that ends with the current hour.

        Args:
            now: the current time, in any form. Full hours are those of the current time zone.
        """
        this_hour = times.instant(times.local(now).replace(minute=0, second=0, microsecond=0))
        start = this_hour - timedelta(hours=HOURS - 1)
        first = first_id_since(start)
        newest = NodeRun.objects.filter(id__gte=first).order_by("-id").values_list("id", flat=True)
        cut: UUID | None = next(iter(newest[MAX_NODES : MAX_NODES + 1]), None)
        return cls(start, cut or first, cut is not None)

    def hour(self, number: int) -> datetime:
        """Return the start of an hour of the window, counted from 0."""
        return self.start + timedelta(hours=number)


@dataclass(frozen=True)
class Hour:
    """The runs, or the nodes, that ended in one hour.

    Attributes:
        start: the start of the hour.
        by_state: final state -> number.
    """

    start: datetime
    by_state: Mapping[str, int]

    @property
    def total(self) -> int:
        """The number of runs or nodes that ended."""
        return sum(self.by_state.values())


@dataclass(frozen=True)
class TaskNumbers:
    """The statistics of one task.

    Attributes:
        task: the name of the task.
        ended: the number of its nodes that ran and ended.
        failed: the number of those whose state is FAILURE.
        mean: the mean duration.
        longest: the longest duration.
    """

    task: str
    ended: int
    failed: int
    mean: timedelta
    longest: timedelta

    @property
    def failed_percent(self) -> float:
        """The percentage of nodes that failed."""
        return 100 * self.failed / self.ended


def open_runs() -> dict[str, int]:
    """Return the numbers of runs that have not ended, by state."""
    states = [state for state in RunState.values if state not in RUN_FINAL]
    rows = TreeRun.objects.filter(state__in=states).order_by()
    return dict(rows.values_list("state").annotate(n=Count("*")))


def open_nodes() -> dict[str, int]:
    """Return the numbers of nodes that have not finished, by state; ``MAX_NODES + 1`` means more than ``MAX_NODES``."""
    counts = {
        state: _unsettled(state).order_by()[: MAX_NODES + 1].count()
        for state in NodeState.values
        if state not in NODE_FINAL
    }
    return {state: number for state, number in counts.items() if number}


def _unsettled(state: str) -> Any:
    return NodeRun.objects.filter(settled=False, state=state)


def runs_per_hour(window: Window) -> list[Hour]:
    """Return the numbers of runs that ended, for each hour of the window."""
    return _per_hour(window, TreeRun.objects.filter(finished_at__gte=window.start, state__in=RUN_FINAL))


def nodes_per_hour(window: Window) -> list[Hour]:
    """Return the numbers of nodes that ran and ended, for each hour of the window."""
    ran = NodeRun.objects.filter(id__gte=window.first_node, finished_at__gte=window.start, started_at__isnull=False)
    return _per_hour(window, ran)


def task_numbers(window: Window) -> list[TaskNumbers]:
    """Return the statistics of each task, over the nodes that were created in the window, ran and ended.

    Wait nodes have no task, and nodes with a sub-run were waiting most of the time.
    """
    took = ExpressionWrapper(F("finished_at") - F("started_at"), output_field=DurationField())
    ended = NodeRun.objects.filter(id__gte=window.first_node, finished_at__isnull=False, started_at__isnull=False)
    ended = ended.filter(wait__isnull=True, sub_run_id__isnull=True)
    failed = Count("pk", filter=Q(state=NodeState.FAILURE))
    numbers = {"ended": Count("*"), "failures": failed, "mean": Avg(took), "longest": Max(took)}
    rows = ended.order_by().values_list("task").annotate(**numbers)
    return [TaskNumbers(*row) for row in rows]


def slowest(tasks: list[TaskNumbers]) -> list[TaskNumbers]:
    """Return the tasks with the longest mean duration, at most ``MAX_LISTED``."""
    return sorted(tasks, key=lambda each: each.mean, reverse=True)[:MAX_LISTED]


def most_failing(tasks: list[TaskNumbers]) -> list[TaskNumbers]:
    """Return the tasks with the most failed nodes, at most ``MAX_LISTED``."""
    failing = [each for each in tasks if each.failed]
    return sorted(failing, key=lambda each: (each.failed, each.failed_percent), reverse=True)[:MAX_LISTED]


def longest_waiting() -> list[Any]:
    """Return the queued nodes that have waited longest for a worker, at most ``MAX_LISTED``.

    Only the oldest queued nodes are read; those that wait for their ``eta`` or ``countdown`` do not count.
    """
    queued = _unsettled(NodeState.QUEUED)
    # The IDs alone are read from the index. With other columns, PostgreSQL would rather read the primary key from the
    # oldest node of all on.
    ids = list(queued.order_by("id").values_list("id", flat=True)[:_OLDEST])
    columns = ("label", "task", "queued_at", "eta", "options", "run__name", "run__state")
    waiting = NodeRun.objects.filter(id__in=ids, state=NodeState.QUEUED, queued_at__isnull=False)
    oldest = waiting.order_by("id").select_related("run").only(*columns)
    now = times.instant_now()
    # Nodes of a paused run do not wait for a worker.
    late = [node for node in oldest if node.run.state == RunState.STARTED and not _waits_for_its_time(node, now)]
    return sorted(late, key=waits_since)[:MAX_LISTED]


def _waits_for_its_time(node: Any, now: datetime) -> bool:
    if node.eta is not None:
        return times.instant(node.eta) > now
    # Until the sweep stores the time in the column eta, only the message options contain it.
    return '"countdown"' in node.options or '"eta"' in node.options


def waits_since(node: Any) -> datetime:
    """Return the time since which a queued node has waited for a worker: when it was queued, or its later ``eta``."""
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
