"""Nodes and runs with nothing left to do that were not settled, and ready nodes that were not queued."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from enum import Enum, auto
from uuid import UUID

from django.db.models import Exists, OuterRef, Q

from django_tasktree import times
from django_tasktree.engine.moves import nodes, write_alias
from django_tasktree.engine.settle import nothing_left_below
from django_tasktree.engine.sweep.pages import Walk, unsettled
from django_tasktree.models import TreeRun
from django_tasktree.models.querysets import TreeRunQuerySet
from django_tasktree.states import ACTIVE, NODE_FINAL, RUN_OPEN, Hold, NodeState, RunState


class Stuck(Enum):
    """What is wrong with a run under way.

    Attributes:
        READY: nodes could be queued.
        SETTLED: all its root nodes have settled, or but gather nodes.
        IDLE: nothing in it is active or ready, and yet it has not ended.
    """

    READY = auto()
    SETTLED = auto()
    IDLE = auto()


#: Seconds after which nobody is about to settle a node any more.
_IN_PASSING = 10
_WAITING_GATHER = Q(is_gather=True, state=NodeState.PENDING)


def half_settled_nodes(walk: Walk, now: datetime) -> Iterator[tuple[UUID, UUID]]:
    """Find nodes that have ended, with all below them, and were not settled.

    Args:
        walk: how far to look.
        now: the time.

    Yields:
        The run's key and the node's.
    """
    grace = timedelta(seconds=_IN_PASSING)
    for state in sorted(NODE_FINAL):
        for page in walk.pages(state, unsettled(state), "finished_at"):
            old = [key for key, finished_at in page if finished_at is None or times.elapsed(finished_at, now) > grace]
            rows = nothing_left_below(unsettled(state).filter(id__in=old))
            yield from list(rows.values_list("run_id", "id"))


def stuck_runs(walk: Walk, now: datetime) -> Iterator[tuple[UUID, Stuck]]:
    """Find runs under way that nothing moves, though they could go on or end.

    Args:
        walk: how far to look.
        now: the time.

    Yields:
        The run's key, and what is wrong with it.
    """
    runs = TreeRun.objects.using(write_alias())
    mine = nodes().filter(run_id=OuterRef("id"))
    ready = mine.filter(state=NodeState.PENDING, ready=True)
    startable = ready.filter(hold=Hold.NONE)
    going = mine.filter(parent__isnull=True, settled=False).exclude(_WAITING_GATHER)
    active = mine.filter(state__in=ACTIVE)
    for state in sorted(RUN_OPEN):
        for page in walk.pages(f"run {state}", runs.filter(state=state)):
            some = runs.filter(id__in=[key for (key,) in page], state=state)
            if state == RunState.STARTED:
                yield from ((key, Stuck.READY) for key in _keys(some.filter(Exists(startable))))
            yield from ((key, Stuck.SETTLED) for key in _keys(some.exclude(Exists(going))))
            idle = _keys(some.exclude(Exists(active)).exclude(Exists(ready)))
            yield from ((key, Stuck.IDLE) for key in idle if not _is_in_passing(key, now))


def _keys(runs: TreeRunQuerySet) -> list[UUID]:
    return list(runs.values_list("id", flat=True))


def _is_in_passing(run_id: UUID, now: datetime) -> bool:
    since = now - timedelta(seconds=_IN_PASSING)
    return nodes().filter(run_id=run_id, state__in=NODE_FINAL, finished_at__gt=since).exists()
