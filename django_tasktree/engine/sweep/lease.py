"""One sweeper at a time: a row says who sweeps, until when nobody else needs to, and how far the passes have got."""

from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction

from django_tasktree import times
from django_tasktree.conf import settings
from django_tasktree.engine.clock import database_now
from django_tasktree.engine.moves import write_alias
from django_tasktree.models import Lease

_NAME = "sweep"
#: Seconds for which a sweeper that does not end its pass is waited for: longer than a pass may take.
TERM = 30


def take(holder: UUID) -> dict[str, str] | None:
    """Become the sweeper, if a pass is due and nobody is at it.

    Two sweepers at once would do no harm: the lease only spares the second one's work.

    Args:
        holder: the worker.

    Returns:
        How far earlier passes have got, by what they look at; None where no pass is due.
    """
    now = database_now()
    if not _take(holder, now):
        if _leases().filter(name=_NAME).exists():
            return None
        try:
            with transaction.atomic(using=write_alias()):
                _leases().create(name=_NAME, until=now)
        except IntegrityError:
            # Another worker has made the first lease at this moment; then the first pass is its own.
            return None
        if not _take(holder, now):
            return None
    cursors: dict[str, str] = _leases().values_list("cursors", flat=True).get(name=_NAME)
    return cursors


def release(holder: UUID, cursors: dict[str, str]) -> None:
    """End a pass; the next is due after the setting ``SWEEP_INTERVAL``.

    Args:
        holder: the worker.
        cursors: where the next pass goes on, by what it looks at.
    """
    until = times.after(database_now(), settings.sweep_interval)
    _leases().filter(name=_NAME, holder=holder).update(until=until, cursors=cursors)


def _take(holder: UUID, now: Any) -> bool:
    due = _leases().filter(name=_NAME, until__lte=now)
    return bool(due.update(holder=holder, until=times.after(now, TERM)))


def _leases() -> Any:
    return Lease.objects.using(write_alias())
