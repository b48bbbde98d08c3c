"""The sweep's lease: a row that stores which worker sweeps, when the next pass is due, and the cursors of the scans."""

from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction

from django_tasktree.conf import settings
from django_tasktree.encoding import times
from django_tasktree.engine.backends import database_now
from django_tasktree.engine.transitions import write_alias
from django_tasktree.models import Lease

_NAME = "sweep"
#: Seconds after which another worker may sweep if a pass has not ended; longer than a pass may take.
TERM = 30


def take(holder: UUID) -> dict[str, Any] | None:
    """Take the lease if a pass is due and no other worker holds the lease.

    Two concurrent sweeps would do no harm; the lease only avoids unnecessary work.

    Args:
        holder: the worker.

    Returns:
        The cursors of earlier passes (kind of rows -> last ID read); None if the lease was not taken.
    """
    now = database_now()
    if not _take(holder, now):
        if _leases().filter(name=_NAME).exists():
            return None
        try:
            with transaction.atomic(using=write_alias()):
                _leases().create(name=_NAME, until=now)
        except IntegrityError:
            # Another worker has inserted the row at the same moment and makes the first pass.
            return None
        if not _take(holder, now):
            return None
    cursors: dict[str, Any] = _leases().values_list("cursors", flat=True).get(name=_NAME)
    return cursors


def release(holder: UUID, cursors: dict[str, Any]) -> None:
    """End a pass. The next pass is due after ``SWEEP_INTERVAL`` seconds.

    Args:
        holder: the worker.
        cursors: where the next pass continues (kind of rows -> last ID read).
    """
    until = times.after(database_now(), settings.sweep_interval)
    _leases().filter(name=_NAME, holder=holder).update(until=until, cursors=cursors)


def _take(holder: UUID, now: Any) -> bool:
    due = _leases().filter(name=_NAME, until__lte=now)
    return bool(due.update(holder=holder, until=times.after(now, TERM)))


def _leases() -> Any:
    return Lease.objects.using(write_alias())
