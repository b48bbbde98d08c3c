"""purge: delete runs that ended long ago, with their nodes, in batches that hold no long locks and need little memory.

A run that is being purged is marked first, so that nobody retries half of it; the run itself goes last. What a crash
leaves half-purged, the next purge finishes.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Count, QuerySet

from django_tasktree.conf import settings
from django_tasktree.engine import sql
from django_tasktree.engine.moves import nodes, write_alias
from django_tasktree.engine.subtree import in_batches
from django_tasktree.engine.transient import persist
from django_tasktree.models import HistoryEntry, NodeAttempt, NodeRun, TreeRun
from django_tasktree.states import RUN_FINAL, RunState

#: So many keys are read at once; a batch of them is deleted at a time.
_KEYS = 50_000


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


@dataclass(frozen=True, slots=True)
class Purged:
    """What one step has deleted."""

    runs: int = 0
    nodes: int = 0


def count_old(old: Old) -> dict[str, tuple[int, int]]:
    """Count what a purge would delete, in two queries.

    Returns:
        state -> number of runs and of nodes.
    """
    runs = dict(old.runs().order_by().values_list("state").annotate(n=Count("*")))
    rows = nodes().filter(run__in=old.runs()).order_by().values_list("run__state").annotate(n=Count("*"))
    in_runs = dict(rows)
    return {state: (number, in_runs.get(state, 0)) for state, number in sorted(runs.items())}


def purge(old: Old | Chosen, beside: Callable[[list[UUID]], None] | None = None) -> Iterator[Purged]:
    """Delete runs, the oldest first; each step is a transaction of its own, after which the caller may stop.

    Args:
        old: which runs.
        beside: called with the task ids of all attempts at the nodes of a batch, before these are deleted.
    """
    while some := list(old.runs().order_by("finished_at").values_list("id", flat=True)[: settings.batch_size]):
        # Small runs together, a large one by itself.
        groups = [some] if _are_small(some) else [[run_id] for run_id in some]
        for group in groups:
            yield from _purge_group(old, group, beside)


def _are_small(run_ids: list[UUID]) -> bool:
    return nodes().filter(run_id__in=run_ids).order_by()[:_KEYS].count() < _KEYS


def _purge_group(
    old: Old | Chosen, run_ids: list[UUID], beside: Callable[[list[UUID]], None] | None
) -> Iterator[Purged]:
    marked = _mark(old, run_ids)
    for batch in _batches(marked):
        yield Purged(nodes=persist(partial(delete_nodes, batch, beside)))
    if marked:
        persist(partial(_delete_runs, marked))
        yield Purged(runs=len(marked))


def _mark(old: Old | Chosen, run_ids: list[UUID]) -> list[UUID]:
    """Claim runs for deletion, but for those that were reopened at this moment."""
    some = old.runs().filter(id__in=run_ids)
    persist(lambda: some.update(purging=True))
    return list(some.filter(purging=True).values_list("id", flat=True))


def _batches(run_ids: list[UUID]) -> Iterator[list[UUID]]:
    """The keys of runs' nodes, the newest first: children mostly come after their parents."""
    newest = nodes().filter(run_id__in=run_ids).order_by("-id").values_list("id", flat=True)
    while keys := list(newest[:_KEYS]):
        yield from in_batches(iter(keys))


def delete_nodes(ids: list[UUID], beside: Callable[[list[UUID]], None] | None = None) -> int:
    """Delete nodes with their attempts, in one transaction.

    Args:
        ids: their keys.
        beside: see :func:`purge`.

    Returns:
        How many there were.
    """
    attempts = NodeAttempt.objects.using(write_alias()).filter(node__in=ids)
    if beside is not None:
        some = nodes().filter(id__in=ids).values_list("task_id", flat=True)
        beside([*some, *attempts.values_list("task_id", flat=True)])
    keys = ", ".join(["%s"] * len(ids))
    with transaction.atomic(using=write_alias()):
        sql.execute(f"DELETE FROM {_table(NodeAttempt)} WHERE node_id IN ({keys})", *ids)  # noqa: S608
        sql.execute(f"UPDATE {_table(HistoryEntry)} SET node_id = NULL WHERE node_id IN ({keys})", *ids)  # noqa: S608
        _let_go_of(ids, keys)
        return sql.execute(f"DELETE FROM {_table(NodeRun)} WHERE id IN ({keys})", *ids)  # noqa: S608


def _let_go_of(ids: list[UUID], keys: str) -> None:
    """Take children from their parents: of other batches, if there are any; MariaDB looks at each row for itself."""
    statement = f"UPDATE {_table(NodeRun)} SET parent_id = NULL WHERE parent_id IN ({keys})"  # noqa: S608
    if sql.connection().vendor == "mysql":
        sql.execute(statement, *ids)
    else:
        sql.execute(f"{statement} AND id NOT IN ({keys})", *ids, *ids)


def _delete_runs(run_ids: list[UUID]) -> None:
    keys = ", ".join(["%s"] * len(run_ids))
    with transaction.atomic(using=write_alias()):
        TreeRun.objects.using(write_alias()).filter(copy_of__in=run_ids).update(copy_of=None)
        HistoryEntry.objects.using(write_alias()).filter(run__in=run_ids).delete()
        sql.execute(f"DELETE FROM {_table(TreeRun)} WHERE id IN ({keys})", *run_ids)  # noqa: S608


def _table(model: Any) -> str:
    return str(model._meta.db_table)
