"""Runs whose time has come, though the message that was to tell so has not."""

from collections.abc import Iterator
from datetime import datetime
from uuid import UUID

from django_tasktree.engine.moves import write_alias
from django_tasktree.engine.sweep.pages import Walk
from django_tasktree.models import TreeRun
from django_tasktree.states import RUN_OPEN, RunState


def due_drafts(walk: Walk, now: datetime) -> Iterator[UUID]:
    """Find drafts whose ``eta`` has passed.

    Args:
        walk: how far to look.
        now: the time.
    """
    drafts = TreeRun.objects.using(write_alias()).filter(state=RunState.DRAFT, eta__lte=now)
    for page in walk.pages("due", drafts):
        yield from (key for (key,) in page)


def overdue_runs(walk: Walk, now: datetime) -> Iterator[UUID]:
    """Find runs that have not ended by their deadline.

    Args:
        walk: how far to look.
        now: the time.
    """
    runs = TreeRun.objects.using(write_alias()).filter(state__in=RUN_OPEN, deadline__lte=now)
    for page in walk.pages("overdue", runs):
        yield from (key for (key,) in page)
