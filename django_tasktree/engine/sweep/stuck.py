"""Nodes and runs with nothing left to do that were not settled, and ready nodes that were not queued."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import Exists, OuterRef, Q

from django_tasktree import times
from django_tasktree.engine.moves import nodes, write_alias
from django_tasktree.engine.sweep.pages import Walk, unsettled
from django_tasktree.models import TreeRun
from django_tasktree.states import RUN_OPEN, Hold, NodeState, RunState

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
    below = nodes().filter(parent_id=OuterRef("id"), settled=False).exclude(_WAITING_GATHER)
    for state in (NodeState.SUCCESS, NodeState.FAILURE, NodeState.REVOKED):
        for page in walk.pages(state, unsettled(state), "finished_at"):
            old = [key for key, finished_at in page if finished_at is None or times.elapsed(finished_at, now) > grace]
            rows = unsettled(state).filter(id__in=old).exclude(Exists(below))
            yield from list(rows.values_list("run_id", "id"))


def stuck_runs(walk: Walk) -> Iterator[tuple[UUID, bool]]:
    """Find runs under way of which all root nodes have settled, or that have ready nodes.

    Yields:
        The run's key, and whether it has ready nodes; where it has none, the run itself is to be settled.
    """
    runs = TreeRun.objects.using(write_alias())
    mine = nodes().filter(run_id=OuterRef("id"))
    ready = mine.filter(state=NodeState.PENDING, ready=True, hold=Hold.NONE)
    going = mine.filter(parent__isnull=True, settled=False).exclude(_WAITING_GATHER)
    for state in sorted(RUN_OPEN):
        for page in walk.pages(f"run {state}", runs.filter(state=state)):
            some = runs.filter(id__in=[key for (key,) in page])
            if state == RunState.STARTED:
                yield from ((key, True) for key in list(some.filter(Exists(ready)).values_list("id", flat=True)))
            yield from ((key, False) for key in list(some.exclude(Exists(going)).values_list("id", flat=True)))
