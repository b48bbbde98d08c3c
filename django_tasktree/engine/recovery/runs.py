"""Find runs that make no progress, are due or overdue, or in which a change was interrupted; release their nodes."""

from collections.abc import Iterator
from datetime import datetime
from enum import Enum, auto
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, OuterRef, Q

from django_tasktree.conf import settings
from django_tasktree.encoding import times
from django_tasktree.engine.control.reset import lock_run, release, released_by_state
from django_tasktree.engine.history import open_entries
from django_tasktree.engine.lifecycle.quorum import decided_quorums, waits_for_quorum
from django_tasktree.engine.lifecycle.stop import revoke
from django_tasktree.engine.recovery.nodes import IN_PASSING
from django_tasktree.engine.recovery.scan import Scan
from django_tasktree.engine.rules import (
    IS_RUNNABLE,
    IS_UNSETTLED,
    IS_WAITING_GATHER,
    RUN_LETS_START,
    SUBTREE_LETS_START,
)
from django_tasktree.engine.transitions import nodes, runs, write_alias
from django_tasktree.models import HistoryEntry
from django_tasktree.models.querysets import TreeRunQuerySet
from django_tasktree.states import NODE_FINAL, RUN_GOING, UNDER_WAY, Hold, NodeState, RunState


class RunProblem(Enum):
    """What is wrong with a run that has not ended.

    Attributes:
        RUNNABLE: it has runnable nodes without a hold.
        SETTLED: all its root nodes have settled, except waiting gather nodes; or the quorum of one of these is decided.
        IDLE: none of its nodes is under way or runnable, and no node has finished in the last seconds.
    """

    RUNNABLE = auto()
    SETTLED = auto()
    IDLE = auto()


# The rules as conditions of queries.
_RUNNABLE = IS_RUNNABLE.q()
_STARTABLE = (IS_RUNNABLE & SUBTREE_LETS_START).q()
_UNSETTLED = IS_UNSETTLED.q()
_WAITING_GATHER = IS_WAITING_GATHER.q()

#: Seconds without a committed batch after which a change counts as interrupted. If its process is not lost, two
#: processes work on one change, which is safe.
_INTERRUPTED_AFTER = 30
#: The maximum number of changes that one pass continues.
_MAX_CHANGES = 100


def runs_without_progress(scan: Scan, now: datetime) -> Iterator[tuple[UUID, RunProblem]]:
    """Find runs that have not ended and make no progress, although they could continue or end.

    Args:
        scan: the extent of the pass.
        now: the time.

    Yields:
        The ID of the run, and what is wrong with it; a run may be found for several reasons.
    """
    mine = nodes().filter(run_id=OuterRef("id"))
    runnable = mine.filter(_RUNNABLE)
    startable = mine.filter(_STARTABLE)
    going = mine.filter(_UNSETTLED, parent__isnull=True).exclude(_WAITING_GATHER)
    active = mine.filter(state__in=UNDER_WAY)
    for state in sorted(RUN_GOING):
        for page in scan.pages(f"run {state}", runs().filter(state=state)):
            some = runs().filter(id__in=[key for (key,) in page], state=state)
            if RUN_LETS_START.holds({"run__state": state}):
                yield from ((key, RunProblem.RUNNABLE) for key in _keys(some.filter(Exists(startable))))
            ended = some.annotate(all_settled=~Exists(going)).filter(Q(all_settled=True) | waits_for_quorum())
            for key, all_settled in list(ended.values_list("id", "all_settled")):
                if all_settled or decided_quorums(key, None):
                    yield key, RunProblem.SETTLED
            idle = _keys(some.exclude(Exists(active)).exclude(Exists(runnable)))
            yield from ((key, RunProblem.IDLE) for key in idle if not _is_in_passing(key, now))


def _keys(found: TreeRunQuerySet) -> list[UUID]:
    return list(found.values_list("id", flat=True))


def _is_in_passing(run_id: UUID, now: datetime) -> bool:
    since = times.after(now, -IN_PASSING)
    return nodes().filter(run_id=run_id, state__in=NODE_FINAL, finished_at__gt=since).exists()


def release_overlooked(run_id: UUID) -> int:
    """Make the overlooked nodes of a run runnable, or skip or revoke them, depending on the parent's outcome.

    The caller then settles and calls ``advance``.

    Returns:
        How many nodes were changed. At most ``BATCH_SIZE`` nodes of each kind are changed in one call.
    """
    with transaction.atomic(using=write_alias()):
        lock_run(run_id)
        found = released_by_state(run_id)[: settings.batch_size]
        release(run_id, found)
        pending = nodes().filter(run_id=run_id, state=NodeState.PENDING, runnable=False, is_gather=False)
        stopped = pending.filter(parent__state=NodeState.REVOKED, parent__hold=Hold.REVOKED)
        ids = list(stopped.values_list("id", flat=True)[: settings.batch_size])
        return len(found) + revoke(nodes().filter(id__in=ids))


def due_drafts(scan: Scan, now: datetime) -> Iterator[UUID]:
    """Find drafts whose ``eta`` has passed.

    Args:
        scan: the extent of the pass.
        now: the time.
    """
    drafts = runs().filter(state=RunState.DRAFT, eta__lte=now)
    for page in scan.pages("due", drafts):
        yield from (key for (key,) in page)


def overdue_runs(scan: Scan, now: datetime) -> Iterator[UUID]:
    """Find runs that have not ended by their deadline.

    Args:
        scan: the extent of the pass.
        now: the time.
    """
    overdue = runs().filter(state__in=RUN_GOING, deadline__lte=now)
    for page in scan.pages("overdue", overdue):
        yield from (key for (key,) in page)


def interrupted_changes(now: datetime) -> list[HistoryEntry]:
    """Return the history entries of the changes that no process carries out any more, the oldest first.

    Args:
        now: the database's time.
    """
    earliest, latest = times.after(now, -_INTERRUPTED_AFTER), times.after(now, _INTERRUPTED_AFTER)
    # The process wrote the time of its own clock, which may differ from the database's in both directions.
    wrong = Q(last_batch_at__lt=earliest) | Q(last_batch_at__gt=latest)
    return list(open_entries().filter(wrong).order_by("last_batch_at")[:_MAX_CHANGES])
