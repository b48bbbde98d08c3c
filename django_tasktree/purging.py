"""Delete old runs: by hand, from celery-beat, or as the setting ``RETENTION`` asks for."""

from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from uuid import UUID

from django.core.exceptions import ImproperlyConfigured
from django_celery_results.models import TaskResult

from django_tasktree import times
from django_tasktree.conf import settings
from django_tasktree.engine.purge import Chosen, Old, Purged, purge
from django_tasktree.states import RUN_FINAL, RunState


def old_runs(age: timedelta, states: frozenset[RunState] = RUN_FINAL, *, keep_failed: bool = False) -> Old:
    """Name the runs that are to go.

    Args:
        age: they ended at least so long ago.
        states: in one of these states.
        keep_failed: leave out those that failed or were revoked.
    """
    return Old(times.after(times.now(), -age.total_seconds()), states & {RunState.SUCCESS} if keep_failed else states)


def purge_runs(old: Old, *, task_results: bool = False) -> Iterator[Purged]:
    """Delete runs in steps; the caller may stop after each.

    Args:
        old: which.
        task_results: delete Celery's TaskResult rows of their nodes too.
    """
    return purge(old, _delete_task_results if task_results else None)


def delete_runs(run_ids: Iterable[UUID]) -> Purged:
    """Delete these runs, if they have ended or are drafts.

    Returns:
        How much was deleted.
    """
    steps = list(purge(Chosen(tuple(run_ids))))
    return Purged(sum(step.runs for step in steps), sum(step.nodes for step in steps))


def purge_by_retention(go_on: Callable[[], bool]) -> Purged:
    """Delete what is older than the setting ``RETENTION``.

    Args:
        go_on: called after each step; tells whether there is time for another.

    Returns:
        How much was deleted.

    Raises:
        ImproperlyConfigured: the setting is no number of days.
    """
    age = retention()
    if age is None:
        return Purged()
    runs = deleted = 0
    old = old_runs(age, keep_failed=settings.retention_keep_failed)
    for step in purge_runs(old, task_results=settings.retention_task_results):
        runs, deleted = runs + step.runs, deleted + step.nodes
        if not go_on():
            break
    return Purged(runs, deleted)


def retention() -> timedelta | None:
    """Read the setting ``RETENTION``.

    Raises:
        ImproperlyConfigured: it is no number of days.
    """
    days = settings.retention
    if days is None:
        return None
    if isinstance(days, bool) or not isinstance(days, (int, float)) or days < 0:
        raise ImproperlyConfigured(
            f"TASKTREE['RETENTION'] is {days!r}: give a number of days, or None to keep all runs"
        )
    return timedelta(days=days)


def _delete_task_results(task_ids: list[UUID]) -> None:
    TaskResult.objects.filter(task_id__in=[str(task_id) for task_id in task_ids]).delete()
