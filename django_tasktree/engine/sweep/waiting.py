"""Nodes that have waited for a worker for so long that their message may be lost."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connections, transaction
from django.db.models import F

from django_tasktree import times
from django_tasktree.conf import settings
from django_tasktree.engine.moves import nodes, write_alias
from django_tasktree.engine.specs import DISPATCH_COLUMNS, Dispatch
from django_tasktree.engine.sweep.pages import Walk, unsettled
from django_tasktree.states import CLAIMABLE, Hold, NodeState, RunState

#: Each time that a message is sent again, the next time comes after twice as long, so many times.
_MOST_DOUBLINGS = 7
_LONG_AGO = datetime(2000, 1, 1, tzinfo=times.UTC)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A node that waits for a worker.

    Attributes:
        dispatch: the node.
        since: when its message was sent, or was due where it had an eta; an instant.
        may_start: whether neither its run nor a hold keeps it from starting.
    """

    dispatch: Dispatch
    since: datetime
    may_start: bool


def waiting(walk: Walk, now: datetime) -> Iterator[list[Waiting]]:
    """Find nodes whose message was sent, and fell due, longer ago than ``RESEND_AFTER``; in pages.

    Args:
        walk: how far to look.
        now: the time.
    """
    for state in (NodeState.QUEUED, NodeState.RETRY):
        for page in walk.pages(state, unsettled(state), "queued_at", "eta", "resent"):
            late = [key for key, *times in page if _is_late(now, *times)]
            if late:
                yield _read(late)


def _is_late(now: datetime, queued_at: datetime | None, eta: datetime | None, resent: int) -> bool:
    wait = settings.resend_after * 2 ** min(resent, _MOST_DOUBLINGS)
    return times.elapsed(_since(queued_at, eta), now) > timedelta(seconds=wait)


def _since(queued_at: datetime | None, eta: datetime | None) -> datetime:
    return max((times.instant(time) for time in (queued_at, eta) if time is not None), default=_LONG_AGO)


def _read(ids: list[UUID]) -> list[Waiting]:
    still = nodes().filter(id__in=ids, state__in=CLAIMABLE).order_by("id")
    rows: list[tuple[Any, ...]] = list(still.values_list("queued_at", "hold", "run__state", *DISPATCH_COLUMNS))
    found = []
    for queued_at, hold, run_state, *columns in rows:
        dispatch = Dispatch(*columns)
        may_start = hold == Hold.NONE and run_state == RunState.STARTED
        found.append(Waiting(dispatch, _since(queued_at, dispatch.eta), may_start))
    return found


def mark_resent(found: Collection[Waiting], now: datetime) -> list[Dispatch]:
    """Write down that messages are sent again; the caller publishes them after commit.

    Args:
        found: nodes that wait.
        now: the time.

    Returns:
        Those that still wait, and that no other sweeper has marked.
    """
    tokens = {waiting.dispatch.id: waiting for waiting in found}
    with transaction.atomic(using=write_alias()):
        # What another transaction has locked is about to start, or is looked at again in the next pass.
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
        nodes().filter(id__in=ids).update(resent=F("resent") + 1, queued_at=now)
    return mine


def fix_eta(node_id: UUID, task_id: UUID, eta: datetime) -> None:
    """Write down when a message that was sent with a countdown is due, so that it is not looked after before."""
    nodes().filter(id=node_id, task_id=task_id, state__in=CLAIMABLE).update(eta=eta)


def newest_started(most: int = 1000) -> list[tuple[str, str, datetime]]:
    """Read which messages have been delivered of late.

    Args:
        most: so many at most.

    Returns:
        Task, options and the time of queueing of nodes whose body runs.
    """
    started = unsettled(NodeState.STARTED).filter(queued_at__isnull=False).order_by("-id")
    rows: Any = started.values_list("task", "options", "queued_at")[:most]
    return list(rows)
