"""purge: delete runs that ended long ago, the oldest first.

Each run goes as a whole or not at all; small runs share a transaction. A run that cannot be deleted is reported, and
keeps no other one from being deleted.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Count, F, ProtectedError, Q, QuerySet, RestrictedError

from django_tasktree.conf import settings
from django_tasktree.engine.deletion import Beside, delete_runs, kept_by
from django_tasktree.engine.dependents import OF_RUNS, Dependents
from django_tasktree.engine.moves import nodes, write_alias
from django_tasktree.engine.subtree import in_batches
from django_tasktree.engine.transient import is_timeout, may_go_away, persist
from django_tasktree.models import TreeRun
from django_tasktree.states import RUN_FINAL, RunState

#: Runs are deleted together as long as they have fewer nodes than this.
_SMALL = 10_000


#: When a run ended, and its key.
Position = tuple[datetime, UUID]


@dataclass(frozen=True, slots=True)
class Old:
    """Which runs are to go.

    Attributes:
        before: they ended before this time.
        states: in one of these final states.
    """

    before: datetime
    states: frozenset[RunState] = RUN_FINAL

    def runs(self) -> "QuerySet[TreeRun]":
        """These runs."""
        ended = TreeRun.objects.using(write_alias()).filter(state__in=self.states & RUN_FINAL)
        return ended.filter(finished_at__lt=self.before)

    def pages(self, after: Position | None = None) -> Iterator[list[tuple[UUID, Position]]]:
        """Read the keys of these runs, the oldest first.

        Args:
            after: where an earlier purge has ended.

        Yields:
            The keys of at most ``BATCH_SIZE`` runs, each with its position.
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
class Chosen:
    """Runs that somebody has chosen to delete; of these, those that have ended, and drafts.

    Attributes:
        ids: their keys.
    """

    ids: tuple[UUID, ...]

    def runs(self) -> "QuerySet[TreeRun]":
        """These runs."""
        may_go = RUN_FINAL | {RunState.DRAFT}
        return TreeRun.objects.using(write_alias()).filter(id__in=self.ids, state__in=may_go)

    def pages(self, after: Position | None = None) -> Iterator[list[tuple[UUID, Position | None]]]:  # noqa: ARG002
        """Give the keys of these runs, in batches."""
        for batch in in_batches(iter(self.ids)):
            yield [(key, None) for key in batch]


@dataclass(frozen=True, slots=True)
class Kept:
    """A run that was not deleted.

    Attributes:
        run_id: its key.
        reason: why, in one line.
        error: what was raised; None where rows of other apps keep it, by ``on_delete``.
    """

    run_id: UUID
    reason: str
    error: Exception | None = None


@dataclass(frozen=True, slots=True)
class Purged:
    """What one step has done.

    Attributes:
        runs: how many runs it has deleted.
        nodes: how many nodes these had.
        kept: the runs that it could not delete.
        until: how far the purge has got.
    """

    runs: int = 0
    nodes: int = 0
    kept: tuple[Kept, ...] = ()
    until: Position | None = None


def count_old(old: Old) -> dict[str, tuple[int, int]]:
    """Count what a purge would delete, in two queries.

    Returns:
        state -> number of runs and of nodes.
    """
    runs = dict(old.runs().order_by().values_list("state").annotate(n=Count("*")))
    rows = nodes().filter(run__in=old.runs()).order_by().values_list("run__state").annotate(n=Count("*"))
    in_runs = dict(rows)
    return {state: (number, in_runs.get(state, 0)) for state, number in sorted(runs.items())}


def purge(
    old: Old | Chosen,
    beside: Beside | None = None,
    after: Position | None = None,
    interrupts: tuple[type[Exception], ...] = (),
) -> Iterator[Purged]:
    """Delete runs, the oldest first; each step is a transaction of its own, after which the caller may stop.

    Args:
        old: which runs.
        beside: called with the task ids of all attempts at the nodes of a batch, before these are deleted.
        after: where an earlier purge has ended.
        interrupts: exceptions that are not about a run, and end the purge.

    Raises:
        OperationalError, InterfaceError: the database itself is in trouble.
    """
    for page in old.pages(after):
        positions = dict(page)
        for group in _groups(list(positions)):
            for step in _purge_group(partial(_purge_together, old, beside=beside), group, interrupts):
                yield replace(step, until=positions[group[-1]])


def _groups(run_ids: list[UUID]) -> Iterator[list[UUID]]:
    """Keep small runs together, and a large one by itself."""
    small = nodes().filter(run_id__in=run_ids).order_by()[:_SMALL].count() < _SMALL
    yield from [run_ids] if small else ([run_id] for run_id in run_ids)


def _purge_group(
    act: Callable[[list[UUID]], Purged], run_ids: list[UUID], interrupts: tuple[type[Exception], ...]
) -> Iterator[Purged]:
    """Delete runs together, or one by one where that fails: one of them is the cause."""
    try:
        purged = persist(partial(act, run_ids))
    except interrupts:
        raise
    except Exception as exc:
        # Receivers and constraints may raise whatever they like.
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


def _purge_together(old: Old | Chosen, run_ids: list[UUID], beside: Beside | None) -> Purged:
    with transaction.atomic(using=write_alias()):
        ids = _lock(old, run_ids)
        protected = Dependents(OF_RUNS, ids).protected()
        ids = [run_id for run_id in ids if run_id not in protected]
        number = delete_runs(ids, beside) if ids else 0
    kept = (
        Kept(run_id, f"it is referenced through the protected foreign key {name}") for run_id, name in protected.items()
    )
    return Purged(len(ids), number, tuple(kept))


def _lock(old: Old | Chosen, run_ids: list[UUID]) -> list[UUID]:
    """Let nobody change these runs until the end of the transaction; leave out those that were reopened."""
    some = old.runs().filter(id__in=run_ids)
    some.update(revision=F("revision") + 1)
    return list(some.values_list("id", flat=True))
