"""advance: queue the runnable nodes of a run as far as its limits allow. Resume, retry, repair and limits all use it.

A node is runnable if it is PENDING although its parent lets it run: its run or its subtree was paused, or a limit was
reached. Every operation that makes a node runnable, frees a place under a limit or ends a pause calls `advance` after
commit. So of two concurrent operations, at least one sees the changes of the other.
"""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import F

from django_tasktree.conf import settings
from django_tasktree.engine.backends.children import queue_nodes
from django_tasktree.engine.database_retries import retry_transient
from django_tasktree.engine.rules import IS_RUNNABLE, RUN_LETS_START, SUBTREE_LETS_START
from django_tasktree.engine.transitions import nodes, runs, write_alias
from django_tasktree.engine.types import DISPATCH_COLUMNS, Dispatch
from django_tasktree.models import TreeRun
from django_tasktree.models.querysets import NodeRunQuerySet
from django_tasktree.states import ACTIVE


def advance(run_id: UUID, limit_scope_id: UUID | None = None) -> Iterator[Dispatch]:
    """Queue the runnable nodes of a started run.

    Each batch is queued in its own transaction when the caller iterates, and yielded after that transaction.

    Args:
        run_id: the run.
        limit_scope_id: the run or node under whose limit a place has become free. Nodes under the limits of other nodes
            are considered only if the run itself has a limit. None: all nodes are considered.

    Yields:
        The queued nodes, to be published.
    """
    while True:
        batch = retry_transient(lambda: _batch(run_id, limit_scope_id))
        yield from batch
        if len(batch) < settings.batch_size:
            # No other node is runnable, or the limits are reached.
            return


def _batch(run_id: UUID, limit_scope_id: UUID | None) -> list[Dispatch]:
    with transaction.atomic(using=write_alias()):
        run = _lock(run_id)
        if run is None:
            return []
        runnable = nodes().filter((IS_RUNNABLE & SUBTREE_LETS_START).q(), run_id=run_id)
        room = settings.batch_size
        if run.max_active is not None:
            room = min(room, run.max_active - _active(run_id).count())
        found: list[Dispatch] = []
        waits: list[Dispatch] = []
        if room <= 0:
            # The wait nodes, if there are any, begin to wait as soon as a place is free.
            return []
        for under in _limiters(runnable, run, limit_scope_id):
            if under is None and run.max_active is not None:
                # Only wait nodes count towards no limit in such a run.
                waits = _take(runnable.filter(limit_scope_id=None), run, None, settings.batch_size)
                continue
            found += _take(runnable.filter(limit_scope_id=under), run, under, room - len(found))
            if len(found) >= room:
                break
        found += waits
        if found:
            queue_nodes([dispatch.id for dispatch in found])
        return found


def _lock(run_id: UUID) -> TreeRun | None:
    """Lock the run, so that one transaction at a time counts active nodes; an UPDATE locks the row on every database.

    Returns:
        The run, or None if it is not STARTED.
    """
    mine = runs().filter(id=run_id)
    if not mine.filter(RUN_LETS_START.q(of="run")).update(revision=F("revision")):
        return None
    run: TreeRun = mine.only("id", "max_active").get()
    return run


def _limiters(runnable: NodeRunQuerySet, run: TreeRun, limit_scope_id: UUID | None) -> Iterator[UUID | None]:
    """Yield the limits under which there may be room, the one that is known to have room first; then None."""
    if limit_scope_id is not None:
        yield limit_scope_id
        if run.max_active is None:
            return
    others = runnable.order_by().values_list("limit_scope_id", flat=True).distinct()
    for other in sorted(others, key=lambda other: other is not None):
        if other is None or other != limit_scope_id:
            yield other


def _take(runnable: Any, run: TreeRun, limit_scope_id: UUID | None, room: int) -> list[Dispatch]:
    if limit_scope_id not in (None, run.id):
        limit = nodes().filter(id=limit_scope_id).values_list("max_active", flat=True).first()
        room = (
            min(room, limit - _active(run.id).filter(limit_scope_id=limit_scope_id).count())
            if limit is not None
            else room
        )
    if room <= 0:
        return []
    return [Dispatch.of_columns(row) for row in runnable.order_by("id").values_list(*DISPATCH_COLUMNS)[:room]]


def _active(run_id: UUID) -> NodeRunQuerySet:
    return nodes().filter(run_id=run_id, state__in=ACTIVE)
