"""advance: queue the ready nodes of a run, as far as its limits go. Resume, retry, repair and limits are all this one.

A node is ready where it is PENDING though its parent lets it run: its run or its subtree was paused, or a limit was
reached. Whoever makes a node ready, or frees a place under a limit, calls this after commit; whoever ends a pause does
so too. So of two at the same moment at least one sees what the other has done.
"""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

from django.db import transaction

from django_tasktree.conf import settings
from django_tasktree.engine.moves import nodes, write_alias
from django_tasktree.engine.release import queue
from django_tasktree.engine.specs import DISPATCH_COLUMNS, Dispatch
from django_tasktree.engine.transient import persist
from django_tasktree.models import TreeRun
from django_tasktree.models.querysets import NodeRunQuerySet
from django_tasktree.states import ACTIVE, Hold, NodeState, RunState


def advance(run_id: UUID, limiter: UUID | None = None) -> Iterator[Dispatch]:
    """Queue the ready nodes of a run that is going.

    Each batch is queued in a transaction of its own when the caller asks for it, and yielded to be published after
    commit.

    Args:
        run_id: the run.
        limiter: the run or node under whose limit a place has become free: nodes under other limits of nodes are
            looked at only where the run itself has one. None looks at all.
    """
    while True:
        batch = persist(lambda: _batch(run_id, limiter))
        yield from batch
        if len(batch) < settings.batch_size:
            # Nothing more is ready, or there is no place left.
            return


def _batch(run_id: UUID, limiter: UUID | None) -> list[Dispatch]:
    with transaction.atomic(using=write_alias()):
        run = _lock(run_id)
        if run is None:
            return []
        ready = nodes().filter(run_id=run_id, state=NodeState.PENDING, ready=True, hold=Hold.NONE)
        room = settings.batch_size
        if run.max_active is not None:
            room = min(room, run.max_active - _active(run_id).count())
        found: list[Dispatch] = []
        if room <= 0:
            return []
        for under in _limiters(ready, run, limiter):
            found += _take(ready.filter(limiter=under), run, under, room - len(found))
            if len(found) >= room:
                break
        if found:
            queue(nodes().filter(id__in=[dispatch.id for dispatch in found]))
        return found


def _lock(run_id: UUID) -> TreeRun | None:
    """Let one at a time count what is active; the UPDATE locks the run's row on every database."""
    runs = TreeRun.objects.using(write_alias()).filter(id=run_id)
    if not runs.filter(state=RunState.STARTED).update(state=RunState.STARTED):
        return None
    run: TreeRun = runs.only("id", "max_active").get()
    return run


def _limiters(ready: NodeRunQuerySet, run: TreeRun, limiter: UUID | None) -> Iterator[UUID | None]:
    """The limits under which there may be room, first that of which it is known."""
    if limiter is not None:
        yield limiter
        if run.max_active is None:
            return
    for other in ready.order_by().values_list("limiter", flat=True).distinct():
        if other is None or other != limiter:
            yield other


def _take(ready: Any, run: TreeRun, limiter: UUID | None, room: int) -> list[Dispatch]:
    if limiter not in (None, run.id):
        limit = nodes().filter(id=limiter).values_list("max_active", flat=True).first()
        room = min(room, limit - _active(run.id).filter(limiter=limiter).count()) if limit is not None else room
    if room <= 0:
        return []
    return [Dispatch(*row) for row in ready.order_by("id").values_list(*DISPATCH_COLUMNS)[:room]]


def _active(run_id: UUID) -> NodeRunQuerySet:
    return nodes().filter(run_id=run_id, state__in=ACTIVE)
