"""Delete runs: on request, from celery-beat, or by age according to the setting ``RETENTION``."""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from uuid import UUID

from celery.exceptions import SoftTimeLimitExceeded
from django.db.models import Model, ProtectedError, RestrictedError
from django.utils.translation import gettext_noop as _
from django_celery_results.models import TaskResult

from django_tasktree.conf import invalid_setting, is_in_range, settings
from django_tasktree.encoding import times
from django_tasktree.engine.control.reset import check_run
from django_tasktree.engine.control.sub_runs import waiting_node
from django_tasktree.engine.deletion.dependents import OF_RUNS, Dependents
from django_tasktree.engine.deletion.purge import AgeFilter, Kept, Position, Purged, Selection, purge
from django_tasktree.engine.deletion.rows import kept_by
from django_tasktree.engine.recovery.scan import Scan
from django_tasktree.engine.transitions import nodes
from django_tasktree.engine.types import Effect
from django_tasktree.exceptions import NotPossible
from django_tasktree.states import RUN_FINAL, RUN_OPEN, RunState

HAS_NOT_ENDED = _("run %(run)s has not ended: revoke it first")
IS_WAITED_FOR = _("node %(node)s has not taken the result of run %(run)s yet: try again when the node has ended")
CAN_NOT_BE_DELETED = _("run %(run)s can't be deleted: %(reason)s")
#: Before all runs, and in the calendar's range in every time zone and database.
_BEGINNING = datetime(1970, 1, 1, tzinfo=times.UTC)
#: The name of the sweep's cursor that stores the position in old runs.
_CURSOR = "purge"


def old_runs(age: timedelta, states: frozenset[RunState] = RUN_FINAL, *, keep_failed: bool = False) -> AgeFilter:
    """Return a filter for old runs.

    Args:
        age: minimum time since the end of the run.
        states: the states of the runs.
        keep_failed: whether to exclude runs that failed or were revoked.
    """
    try:
        before = times.after(times.now(), -age.total_seconds())
    except ValueError:
        # No run is as old as that.
        before = times.as_stored(_BEGINNING)
    return AgeFilter(before, states & {RunState.SUCCESS} if keep_failed else states)


def purge_runs(
    old: AgeFilter | Selection, *, task_results: bool = False, after: Position | None = None
) -> Iterator[Purged]:
    """Delete runs in steps. The caller may stop after each step.

    Args:
        old: the runs.
        task_results: whether to delete the ``TaskResult`` rows of their nodes (django-celery-results), too.
        after: the position at which an earlier purge has ended.
    """
    return purge(old, _delete_task_results if task_results else None, after, (SoftTimeLimitExceeded,))


def delete_runs(run_ids: Iterable[UUID]) -> Purged:
    """Delete those of the given runs that have ended or are drafts.

    Returns:
        The numbers of deleted runs and nodes, and the runs that were kept.
    """
    return _total(purge_runs(Selection(tuple(run_ids))))


def preview_deletion(run_id: UUID) -> Effect:
    """Return the number of nodes that the deletion of a run would delete.

    Raises:
        NotPossible: :func:`delete_run` would raise it.
        RunNotFound: there is no such run.
    """
    _refuse_open(run_id)
    what_goes_with(run_id)
    return Effect(removed=nodes().filter(run_id=run_id).count())


def delete_run(run_id: UUID) -> int:
    """Delete a run that has ended or is a draft, with its nodes, their results, attempts and history.

    Returns:
        The number of its nodes.

    Raises:
        NotPossible: the run has not ended, or protected rows of other apps refer to it.
        RunNotFound: there is no such run.
    """
    _refuse_open(run_id)
    purged = delete_runs([run_id])
    for kept in purged.kept:
        raise NotPossible(CAN_NOT_BE_DELETED, run=run_id, reason=kept.reason) from kept.error
    return purged.nodes


def _refuse_open(run_id: UUID) -> None:
    run = check_run(run_id, drafts=True, changing=True)
    if run.state in RUN_OPEN:
        raise NotPossible(HAS_NOT_ENDED, run=run_id)
    node = waiting_node(run)
    if node is not None:
        raise NotPossible(IS_WAITED_FOR, run=run_id, node=node.id)


def what_goes_with(run_id: UUID) -> dict[type[Model], int]:
    """Return the number of rows of other apps that the deletion of a run would delete, by model.

    Raises:
        NotPossible: protected rows of other apps refer to the run.
    """
    try:
        return Dependents(OF_RUNS, [run_id]).collect_counts()
    except (ProtectedError, RestrictedError) as exc:
        raise NotPossible(CAN_NOT_BE_DELETED, run=run_id, reason=kept_by(exc)) from exc


def purge_by_retention(scan: Scan) -> Purged:
    """Delete runs that are older than the setting ``RETENTION``, from where the last pass of the sweep has stopped.

    Args:
        scan: the pass of the sweep: its remaining time, and its stored cursors.

    Returns:
        The numbers of deleted runs and nodes, and the runs that were kept.

    Raises:
        ImproperlyConfigured: the setting is not a number of days.
    """
    age = retention()
    if age is None:
        return Purged()
    old = old_runs(age, keep_failed=settings.retention_keep_failed)
    steps = purge_runs(old, task_results=settings.retention_task_results, after=_position(scan.cursors.get(_CURSOR)))
    return _total(_as_far_as_it_may(steps, scan))


def _as_far_as_it_may(steps: Iterable[Purged], scan: Scan) -> Iterator[Purged]:
    for step in steps:
        if step.until is not None:
            scan.cursors[_CURSOR] = "|".join([step.until[0].isoformat(), step.until[1].hex])
        yield step
        if not scan.may_continue():
            return
    scan.cursors.pop(_CURSOR, None)


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
    """Return the setting ``RETENTION`` as a duration; None if all runs are kept.

    Raises:
        ImproperlyConfigured: the setting is not a number of days.
    """
    days = settings.retention
    if not is_in_range("RETENTION", days):
        raise invalid_setting("RETENTION", days)
    return None if days is None else times.duration_of(days=days)


def _delete_task_results(task_ids: list[UUID]) -> None:
    TaskResult.objects.filter(task_id__in=[str(task_id) for task_id in task_ids]).delete()
