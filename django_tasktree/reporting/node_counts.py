"""Count the nodes of runs by state, without counting a large run at each look.

Runs of up to ``SMALL`` nodes are counted each time. The counts of larger runs are kept in the table ``NodeCounts``, for
all processes: those of an ended run until it is reopened, others for ``_SHARE`` times as long as counting took, so that
counting a run takes at most a twentieth of the database's time, however many people look at it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from time import monotonic
from uuid import UUID

from django.db import IntegrityError, connections, models, transaction
from django.db.models import Exists, OuterRef, Q

from django_tasktree.encoding import times
from django_tasktree.engine.transitions import write_alias
from django_tasktree.models import NodeCounts, NodeRun, TreeRun
from django_tasktree.states import ACTIVE, RUN_FINAL

#: The number of nodes up to which a run is counted each time.
SMALL = 10_000
#: The number of nodes up to which a run that has not been counted yet is counted while a page is made.
QUICK = 100_000
_SHARE = 20
#: Seconds: a page shows older counts of a run that has not ended only if they are not due yet.
_MAX_AGE = 60
#: Seconds after which others may count a run whose counting has not ended.
_LEASE = 60
_COLUMNS = ("by_state", "run_state", "run_revision", "counted_at", "due_at", "claimed_until")


class Look(Enum):
    """How much may be counted.

    Attributes:
        FRESH: all runs are counted, even if their counts are not due.
        EXACT: all runs whose counts are due are counted.
        POLL: of the large runs at most one is counted, if its counts are due and no other request is counting it.
        PAGE: like ``POLL``, but a run of more than ``QUICK`` nodes is not counted: the page polls afterwards.
    """

    FRESH = "fresh"
    EXACT = "exact"
    POLL = "poll"
    PAGE = "page"


@dataclass(frozen=True)
class Counts:
    """The nodes of a run by state.

    Attributes:
        by_state: state -> number of nodes, without states that have no nodes.
        counted_at: when they were counted, as a stored time.
    """

    by_state: dict[str, int]
    counted_at: datetime


def counts_of(runs: Iterable[TreeRun], look: Look) -> dict[UUID, Counts | None]:
    """Return the counts of runs by their IDs, in a constant number of queries.

    Args:
        runs: the runs, just read.
        look: how much may be counted. With ``POLL`` and ``PAGE``, the result is None for large runs that were not.
    """
    rows = {run.id: run for run in runs}
    if not rows:
        return {}
    large = _large(rows)
    kept = {row.run_id: row for row in _table().filter(run_id__in=large)} if large else {}
    found: dict[UUID, Counts | None] = {**_counted(rows.keys() - large)}
    due = [rows[key] for key in large if look is Look.FRESH or not _is_current(kept.get(key), rows[key])]
    counted = _count(_chosen(due, kept, look), keep=_keeps(look))
    for key in large:
        row = kept.get(key)
        shown = row is not None and (_is_current(row, rows[key]) or _is_recent(row, rows[key]))
        found[key] = counted.get(key) or (Counts(row.by_state, row.counted_at) if row is not None and shown else None)
    return found


def _table() -> "models.QuerySet[NodeCounts]":
    return NodeCounts.objects.using(write_alias())


def _large(run_ids: Iterable[UUID]) -> set[UUID]:
    """Return the runs that have kept counts or more than ``SMALL`` nodes."""
    kept = _table().filter(run_id=OuterRef("id"))
    rows = TreeRun.objects.filter(Exists(kept) | _exceeds(SMALL), id__in=list(run_ids))
    return set(rows.order_by().values_list("id", flat=True))


def _exceeds(number: int) -> Exists:
    """Return the condition that a run has more than a number of nodes; at most one more is read."""
    return Exists(NodeRun.objects.filter(run_id=OuterRef("id")).order_by()[number : number + 1])


def _counted(run_ids: Iterable[UUID]) -> dict[UUID, Counts]:
    keys = list(run_ids)
    now = times.now()
    return {key: Counts(numbers, now) for key, numbers in NodeRun.objects.state_counts(keys).items()} if keys else {}


def _is_current(row: NodeCounts | None, run: TreeRun) -> bool:
    """Return whether the run need not be counted again."""
    if row is None or row.counted_at is None or row.run_state != run.state:
        return False
    if row.run_state in RUN_FINAL and not ACTIVE & row.by_state.keys():
        return row.run_revision == run.revision
    return row.due_at is not None and times.instant(row.due_at) > times.instant_now()


def _is_recent(row: NodeCounts, run: TreeRun) -> bool:
    """Return whether kept counts may be shown although they are due."""
    if row.counted_at is None:
        return False
    if run.is_over:
        return (row.run_state, row.run_revision) == (run.state, run.revision)
    return times.elapsed(row.counted_at).total_seconds() < _MAX_AGE


def _chosen(due: Sequence[TreeRun], kept: dict[UUID, NodeCounts], look: Look) -> list[TreeRun]:
    """Return the runs to count now."""
    if look in (Look.FRESH, Look.EXACT) or not due:
        return list(due)
    run = min(due, key=lambda run: _age_key(kept.get(run.id)))
    row = kept.get(run.id)
    if look is Look.PAGE and _is_huge(run.id, row):
        return []
    return [run] if _claim(run.id, row) else []


def _age_key(row: NodeCounts | None) -> float:
    """Return a sort key: the runs that were never counted first, then those that were counted longest ago."""
    return 0.0 if row is None or row.counted_at is None else times.instant(row.counted_at).timestamp()


def _is_huge(run_id: UUID, row: NodeCounts | None) -> bool:
    if row is not None and row.by_state:
        size: int = sum(row.by_state.values())
        return size > QUICK
    return bool(TreeRun.objects.filter(_exceeds(QUICK), id=run_id).exists())


def _claim(run_id: UUID, row: NodeCounts | None) -> bool:
    """Reserve the counting of a run, so that only one of several requests counts it; return whether it succeeded."""
    now = times.now()
    until = times.after(now, _LEASE)
    if row is not None:
        free = _table().filter(run_id=run_id).filter(Q(claimed_until=None) | Q(claimed_until__lt=now))
        return int(free.update(claimed_until=until)) > 0
    try:
        with transaction.atomic(using=write_alias()):
            _table().create(run_id=run_id, claimed_until=until)
    except IntegrityError:
        # Another request has inserted the row, and counts the run.
        return False
    return True


def _keeps(look: Look) -> bool:
    """Return whether counts are to be kept. In the caller's own transaction the row would be locked until its end."""
    return look in (Look.POLL, Look.PAGE) or not connections[write_alias()].in_atomic_block


def _count(runs: Sequence[TreeRun], *, keep: bool) -> dict[UUID, Counts]:
    """Count large runs, and keep the counts."""
    start = monotonic()
    counted = _counted(run.id for run in runs)
    if counted and keep:
        _keep(runs, counted, monotonic() - start)
    return counted


def _keep(runs: Sequence[TreeRun], counted: dict[UUID, Counts], seconds: float) -> None:
    due_at = times.after(times.now(), _SHARE * seconds)
    rows = [
        NodeCounts(
            run_id=run.id,
            by_state=counted[run.id].by_state,
            run_state=run.state,
            run_revision=run.revision,
            counted_at=counted[run.id].counted_at,
            due_at=due_at,
        )
        for run in runs
    ]
    with_target = connections[write_alias()].features.supports_update_conflicts_with_target
    key = ["run_id"] if with_target else None
    _table().bulk_create(rows, update_conflicts=True, update_fields=_COLUMNS, unique_fields=key)
