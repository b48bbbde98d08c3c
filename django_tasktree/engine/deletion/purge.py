"""purge: delete runs that ended long ago, the oldest first, or runs that a user has selected.

Each run is deleted as a whole or not at all; small runs share a transaction. A run that cannot be deleted is reported
and does not prevent the deletion of the others.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Count, Exists, F, OuterRef, ProtectedError, Q, QuerySet, RestrictedError

from django_tasktree.conf import settings
from django_tasktree.engine.database_retries import is_timeout, may_go_away, retry_transient
from django_tasktree.engine.deletion.dependents import OF_RUNS, Dependents
from django_tasktree.engine.deletion.rows import BatchHook, delete_runs, kept_by
from django_tasktree.engine.transitions import nodes, runs, write_alias
from django_tasktree.engine.traversal import in_batches
from django_tasktree.models import TreeRun
from django_tasktree.models.querysets import TreeRunQuerySet
from django_tasktree.states import RUN_FINAL, NodeState, RunState

#: The runs of a page are deleted together if they have fewer nodes than this in total.
_SMALL = 10_000


#: The position of a run in the order of deletion: when it ended, and its ID.
Position = tuple[datetime, UUID]


@dataclass(frozen=True, slots=True)
class AgeFilter:
    """Select runs by the time at which they ended.

    Attributes:
        before: select runs that ended before this time.
        states: the final states of the runs.
    """

    before: datetime
    states: frozenset[RunState] = RUN_FINAL

    def runs(self) -> "QuerySet[TreeRun]":
        """Return the selected runs."""
        ended = runs().filter(state__in=self.states & RUN_FINAL)
        return not_waited_for(ended.filter(finished_at__lt=self.before))

    def pages(self, after: Position | None = None) -> Iterator[list[tuple[UUID, Position]]]:
        """Read the IDs of these runs, the oldest first.

        Args:
            after: the position of the last run of an earlier purge.

        Yields:
            The IDs of at most ``BATCH_SIZE`` runs, each with its position.
        """
        size = settings.batch_size
        while True:
            runs = self.runs()
            if after is not None:
                at, key = after
                runs = runs.filter(Q(finished_at=at, id__gt=key) | Q(finished_at__gt=at))
            rows: Any = runs.order_by("finished_at", "id").values_list("finished_at", "id")[:size]
            page = [(key, (at, key)) for at, key in rows]
            if page:
                yield page
            if len(page) < size:
                return
            after = page[-1][1]


@dataclass(frozen=True, slots=True)
class Selection:
    """Runs that a user has selected for deletion. Only those that have ended, and drafts, are deleted.

    Attributes:
        ids: the IDs of the runs.
    """

    ids: tuple[UUID, ...]

    def runs(self) -> "QuerySet[TreeRun]":
        """Return the selected runs that can be deleted."""
        may_go = RUN_FINAL | {RunState.DRAFT}
        return not_waited_for(runs().filter(id__in=self.ids, state__in=may_go))

    def pages(self, after: Position | None = None) -> Iterator[list[tuple[UUID, Position | None]]]:  # noqa: ARG002
        """Yield the IDs of the selected runs in batches, without positions."""
        for batch in in_batches(iter(self.ids)):
            yield [(key, None) for key in batch]


@dataclass(frozen=True, slots=True)
class Kept:
    """A run that was not deleted.

    Attributes:
        run_id: the ID of the run.
        reason: the reason, in one line.
        error: the exception; None if rows of other apps prevent the deletion by ``on_delete``.
    """

    run_id: UUID
    reason: str
    error: Exception | None = None


@dataclass(frozen=True, slots=True)
class Purged:
    """The result of one step of a purge.

    Attributes:
        runs: how many runs were deleted.
        nodes: how many nodes they had.
        kept: the runs that could not be deleted.
        until: the position of the last run that was processed; None for a :class:`Selection`.
    """

    runs: int = 0
    nodes: int = 0
    kept: tuple[Kept, ...] = ()
    until: Position | None = None


def not_waited_for(some: TreeRunQuerySet) -> TreeRunQuerySet:
    """Leave out sub-runs whose result is still to become that of the node that has started them."""
    mine = nodes().filter(id=OuterRef("parent_node_id"), sub_run_id=OuterRef("id"), state=NodeState.WAITING)
    return some.exclude(Q(parent_run_id__isnull=False) & Q(Exists(mine)))


def count_old(old: AgeFilter) -> dict[str, tuple[int, int]]:
    """Count what a purge would delete, in two queries.

    Returns:
        State -> the number of runs and the number of nodes.
    """
    runs = dict(old.runs().order_by().values_list("state").annotate(n=Count("*")))
    rows = nodes().filter(run__in=old.runs()).order_by().values_list("run__state").annotate(n=Count("*"))
    in_runs = dict(rows)
    return {state: (number, in_runs.get(state, 0)) for state, number in sorted(runs.items())}


def purge(
    old: AgeFilter | Selection,
    on_batch: BatchHook | None = None,
    after: Position | None = None,
    interrupts: tuple[type[Exception], ...] = (),
) -> Iterator[Purged]:
    """Delete runs. Each step has its own transaction, after which the caller may stop.

    Args:
        old: which runs to delete; an :class:`AgeFilter` deletes the oldest first.
        on_batch: called with the task IDs of all attempts at the nodes of a batch, before these are deleted.
        after: the position of the last run of an earlier purge.
        interrupts: exceptions that end the purge instead of being reported for a run.

    Yields:
        The result of each step.

    Raises:
        OperationalError, InterfaceError: if a database error that is not about a run persists.
    """
    for page in old.pages(after):
        positions = dict(page)
        for group in _groups(list(positions)):
            for step in _purge_group(partial(_purge_together, old, on_batch=on_batch), group, interrupts):
                yield replace(step, until=positions[group[-1]])


def _groups(run_ids: list[UUID]) -> Iterator[list[UUID]]:
    """Yield all runs as one group if they have few nodes in total, else each run by itself."""
    small = nodes().filter(run_id__in=run_ids).order_by()[:_SMALL].count() < _SMALL
    yield from [run_ids] if small else ([run_id] for run_id in run_ids)


def _purge_group(
    act: Callable[[list[UUID]], Purged], run_ids: list[UUID], interrupts: tuple[type[Exception], ...]
) -> Iterator[Purged]:
    """Delete runs together. If that fails, delete them one by one, to find the run that is the cause."""
    try:
        purged = retry_transient(partial(act, run_ids))
    except interrupts:
        raise
    except Exception as exc:
        # Signal receivers and database constraints may raise any exception.
        if may_go_away(exc) and not is_timeout(exc):
            raise
        if len(run_ids) == 1:
            yield Purged(kept=(_kept(run_ids[0], exc),))
            return
    else:
        yield purged
        return
    for run_id in run_ids:
        yield from _purge_group(act, [run_id], interrupts)


def _kept(run_id: UUID, exc: Exception) -> Kept:
    if isinstance(exc, (ProtectedError, RestrictedError)):
        return Kept(run_id, kept_by(exc))
    return Kept(run_id, f"{type(exc).__name__}: {exc}", exc)


def _purge_together(old: AgeFilter | Selection, run_ids: list[UUID], on_batch: BatchHook | None) -> Purged:
    with transaction.atomic(using=write_alias()):
        ids = _lock(old, run_ids)
        protected = Dependents(OF_RUNS, ids).protected()
        ids = [run_id for run_id in ids if run_id not in protected]
        number = delete_runs(ids, on_batch) if ids else 0
    kept = (
        Kept(run_id, f"it is referenced through the protected foreign key {name}") for run_id, name in protected.items()
    )
    return Purged(len(ids), number, tuple(kept))


def _lock(old: AgeFilter | Selection, run_ids: list[UUID]) -> list[UUID]:
    """Lock the runs until the end of the transaction, and return those that still match: others were reopened."""
    some = old.runs().filter(id__in=run_ids)
    some.update(revision=F("revision") + 1)
    return list(some.values_list("id", flat=True))
