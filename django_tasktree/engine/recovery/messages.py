"""Find nodes that have waited for a worker for so long that their message may be lost."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connections, transaction
from django.db.models import F

from django_tasktree.conf import settings
from django_tasktree.encoding import times
from django_tasktree.engine.recovery.scan import Scan, unsettled
from django_tasktree.engine.rules import IS_FREE
from django_tasktree.engine.transitions import nodes, write_alias
from django_tasktree.engine.types import DISPATCH_COLUMNS, Dispatch
from django_tasktree.states import CLAIMABLE, NodeState

#: The delay before a message is sent again doubles each time, at most this often.
_MAX_DOUBLINGS = 7
#: Before all messages.
LONG_AGO = datetime(2000, 1, 1, tzinfo=times.UTC)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A node that waits for a worker.

    Attributes:
        dispatch: the node.
        since: when its message was queued or, if that is later, its eta; an aware datetime.
        may_start: whether the run is STARTED and the node has no hold.
    """

    dispatch: Dispatch
    since: datetime
    may_start: bool


def waiting(scan: Scan, now: datetime) -> Iterator[list[Waiting]]:
    """Find nodes whose message was sent and due more than ``RESEND_AFTER`` seconds ago, doubled for each resend.

    Args:
        scan: the extent of the pass.
        now: the time.

    Yields:
        Pages of nodes.
    """
    for state in sorted(CLAIMABLE):
        for page in scan.pages(state, unsettled(state), "queued_at", "eta", "resend_count"):
            late = [key for key, *moments in page if is_late(now, *moments)]
            if late:
                yield read_waiting(late)


def is_late(now: datetime, queued_at: datetime | None, eta: datetime | None, resend_count: int) -> bool:
    """Return whether a message should have arrived by now; the arguments are columns of the node's row."""
    wait = settings.resend_after * 2 ** min(resend_count, _MAX_DOUBLINGS)
    return times.elapsed(_since(queued_at, eta), now) > timedelta(seconds=wait)


def _since(queued_at: datetime | None, eta: datetime | None) -> datetime:
    return max((times.instant(time) for time in (queued_at, eta) if time is not None), default=LONG_AGO)


def read_waiting(ids: list[UUID]) -> list[Waiting]:
    """Read those of some nodes that still wait for a worker, in the order of their IDs."""
    still = nodes().filter(id__in=ids, state__in=CLAIMABLE).order_by("id")
    rows: list[tuple[Any, ...]] = list(still.values_list("queued_at", "hold", "run__state", *DISPATCH_COLUMNS))
    found = []
    for queued_at, hold, run_state, *columns in rows:
        dispatch = Dispatch.of_columns(columns)
        may_start = IS_FREE.holds({"hold": hold, "run__state": run_state})
        found.append(Waiting(dispatch, _since(queued_at, dispatch.eta), may_start))
    return found


def mark_resent(found: Collection[Waiting], now: datetime) -> list[Dispatch]:
    """Store that the messages of waiting nodes are sent again. The caller publishes the returned nodes after commit.

    Args:
        found: the nodes.
        now: the time.

    Returns:
        The nodes that still wait for the same message and that no other sweep has marked.
    """
    tokens = {waiting.dispatch.id: waiting for waiting in found}
    with transaction.atomic(using=write_alias()):
        # A node that another transaction has locked is about to start, or the next pass finds it again.
        skips = connections[write_alias()].features.has_select_for_update_skip_locked
        locked = nodes().select_for_update(skip_locked=skips)
        rows = locked.filter(id__in=tokens, state__in=CLAIMABLE).order_by("id")
        current = list(rows.values_list("id", "task_id", "queued_at"))
        mine = [
            tokens[key].dispatch
            for key, task_id, queued_at in current
            if task_id == tokens[key].dispatch.task_id and _since(queued_at, None) <= tokens[key].since
        ]
        ids = [dispatch.id for dispatch in mine]
        nodes().filter(id__in=ids).update(resend_count=F("resend_count") + 1, queued_at=now)
    return mine


def fix_eta(node_id: UUID, task_id: UUID, eta: datetime) -> None:
    """Store when a message that was sent with a countdown is due, so that it is not sent again before."""
    nodes().filter(id=node_id, task_id=task_id, state__in=CLAIMABLE).update(eta=eta)


def newest_started(most: int = 1000) -> list[tuple[str, str, datetime]]:
    """Return started nodes, the newest first, as evidence of which messages have been delivered.

    Args:
        most: the maximum number of nodes.

    Returns:
        The task, the options and the time of queueing of each node.
    """
    started = unsettled(NodeState.STARTED).filter(queued_at__isnull=False, carried_by__isnull=True).order_by("-id")
    rows: Any = started.values_list("task", "options", "queued_at")[:most]
    return list(rows)
