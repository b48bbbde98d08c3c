"""Delete old runs: by hand, from celery-beat, or as the setting ``RETENTION`` asks for."""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from uuid import UUID

from celery.exceptions import SoftTimeLimitExceeded
from django.core.exceptions import ImproperlyConfigured
from django.db.models import Model, ProtectedError, RestrictedError
from django.utils.translation import gettext_noop as _
from django_celery_results.models import TaskResult

from django_tasktree import times
from django_tasktree.conf import settings
from django_tasktree.engine.deletion import kept_by
from django_tasktree.engine.dependents import OF_RUNS, Dependents
from django_tasktree.engine.purge import Chosen, Kept, Old, Position, Purged, purge
from django_tasktree.engine.reset import check_run
from django_tasktree.engine.sweep.pages import Walk
from django_tasktree.exceptions import NotPossible
from django_tasktree.states import RUN_FINAL, RUN_OPEN, RunState

HAS_NOT_ENDED = _("run %(run)s has not ended: revoke it first")
CAN_NOT_BE_DELETED = _("run %(run)s can't be deleted: %(reason)s")
#: Under what name the sweep remembers how far the retention has got.
_CURSOR = "purge"


def old_runs(age: timedelta, states: frozenset[RunState] = RUN_FINAL, *, keep_failed: bool = False) -> Old:
    """Name the runs that are to go.

    Args:
        age: they ended at least so long ago.
        states: in one of these states.
        keep_failed: leave out those that failed or were revoked.
    """
    return Old(times.after(times.now(), -age.total_seconds()), states & {RunState.SUCCESS} if keep_failed else states)


def purge_runs(old: Old | Chosen, *, task_results: bool = False, after: Position | None = None) -> Iterator[Purged]:
    """Delete runs in steps; the caller may stop after each.

    Args:
        old: which.
        task_results: delete Celery's TaskResult rows of their nodes too.
        after: where an earlier purge has ended.
    """
    return purge(old, _delete_task_results if task_results else None, after, (SoftTimeLimitExceeded,))


def delete_runs(run_ids: Iterable[UUID]) -> Purged:
    """Delete these runs, if they have ended or are drafts.

    Returns:
        How much was deleted, and what was kept.
    """
    return _total(purge_runs(Chosen(tuple(run_ids))))


def delete_run(run_id: UUID) -> int:
    """Delete a run that has ended or is a draft, with all that belongs to it.

    Returns:
        How many nodes it had.

    Raises:
        NotPossible: it has not ended, or rows of other apps keep it.
        RunNotFound: there is none.
    """
    run = check_run(run_id, drafts=True)
    if run.state in RUN_OPEN:
        raise NotPossible(HAS_NOT_ENDED, run=run_id)
    purged = delete_runs([run_id])
    for kept in purged.kept:
        raise NotPossible(CAN_NOT_BE_DELETED, run=run_id, reason=kept.reason) from kept.error
    return purged.nodes


def what_goes_with(run_id: UUID) -> dict[type[Model], int]:
    """Count the rows of other apps that a run's deletion would delete.

    Raises:
        NotPossible: rows of other apps keep the run.
    """
    try:
        return Dependents(OF_RUNS, [run_id]).collect_counts()
    except (ProtectedError, RestrictedError) as exc:
        raise NotPossible(CAN_NOT_BE_DELETED, run=run_id, reason=kept_by(exc)) from exc


def purge_by_retention(walk: Walk) -> Purged:
    """Delete what is older than the setting ``RETENTION``, and go on where the last pass of the sweep has ended.

    Args:
        walk: says whether there is time for another step, and remembers how far it has got.

    Returns:
        What was deleted, and what was kept.

    Raises:
        ImproperlyConfigured: the setting is no number of days.
    """
    age = retention()
    if age is None:
        return Purged()
    old = old_runs(age, keep_failed=settings.retention_keep_failed)
    steps = purge_runs(old, task_results=settings.retention_task_results, after=_position(walk.cursors.get(_CURSOR)))
    return _total(_as_far_as_it_may(steps, walk))


def _as_far_as_it_may(steps: Iterable[Purged], walk: Walk) -> Iterator[Purged]:
    for step in steps:
        if step.until is not None:
            walk.cursors[_CURSOR] = "|".join([step.until[0].isoformat(), step.until[1].hex])
        yield step
        if not walk.go_on():
            return
    walk.cursors.pop(_CURSOR, None)


def _position(cursor: str | None) -> Position | None:
    if cursor is None:
        return None
    at, key = cursor.split("|")
    return datetime.fromisoformat(at), UUID(hex=key)


def _total(steps: Iterable[Purged]) -> Purged:
    runs = deleted = 0
    kept: list[Kept] = []
    for step in steps:
        runs, deleted = runs + step.runs, deleted + step.nodes
        kept += step.kept
    return Purged(runs, deleted, tuple(kept))


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
