"""settle: what has ended, with all below it, lets its parent settle, upwards to the run.

It runs after commit and holds no locks, so of two last siblings at least one sees both. Each step is safe to repeat;
what a crash leaves half-settled, the same walk completes.
"""

from dataclasses import dataclass
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, OuterRef, Q

from django_tasktree import times
from django_tasktree.engine import sql
from django_tasktree.engine.climb import climb
from django_tasktree.engine.moves import nodes, write_alias
from django_tasktree.engine.release import make_ready, queue, skip
from django_tasktree.engine.specs import DISPATCH_COLUMNS, Dispatch, Settled
from django_tasktree.models import TreeRun
from django_tasktree.models.querysets import NodeRunQuerySet
from django_tasktree.states import NODE_FAILED, NODE_FINAL, RUN_OPEN, Hold, NodeState, RunState, RunWhen

#: Of nodes below a skipped one: nothing will start them.
NOT_REACHED = Q(state=NodeState.PENDING, ready=False)
#: After so many single steps upwards the walk goes on by hundreds.
_STEPS_BEFORE_CLIMB = 3

# Whether the first unsettled node under a parent is a gather node; NULL where all have settled. Gather nodes come last,
# so one that comes first tells that nothing else is left. Of equals the last position comes first: children tend to
# settle in order, and so the index is entered where it still has live entries.
# What is constant must not be named in the order, or MariaDB sorts all that it finds; a parent that is NULL is no
# constant to PostgreSQL, and must be.
_FIRST_UNSETTLED = """
    SELECT CASE WHEN NOT child.settled THEN child.is_gather END FROM {{node}} child WHERE {under}
    ORDER BY {order} child.settled, child.is_gather, child.position DESC LIMIT 1
"""
# No condition names the run: statistics of PostgreSQL's that do not know a new run yet would make it read all nodes of
# the run by another index. All children are of one run.
_UNDER_NODE = _FIRST_UNSETTLED.format(under="child.parent_id = %s", order="child.run_id,")
_LOOK = f"""
    SELECT parent.parent_id, parent.state, parent.settled, parent.child_count, parent.revision, parent.allow_failure,
        ({_UNDER_NODE})
    FROM {{node}} parent WHERE parent.id = %s
"""  # noqa: S608  put together from the constants above
_UNDER_RUN = "child.parent_id IS NULL AND child.run_id = %s"


def _look_at_run(order: str) -> str:
    first = _FIRST_UNSETTLED.format(under=_UNDER_RUN, order=order)
    return f"""
        SELECT run.revision, ({first}) FROM {{run}} run WHERE run.id = %s AND run.state IN ('STARTED', 'PAUSED')
    """  # noqa: S608


_LOOK_AT_RUN = _look_at_run("child.parent_id,")
_LOOK_AT_RUN_MYSQL = _look_at_run("")


@dataclass(frozen=True, slots=True)
class _Look:
    """What a parent looks like from below; ``only_gathers_left`` is None where nothing is."""

    parent_id: UUID | None
    state: str
    settled: bool
    child_count: int
    revision: int
    allow_failure: bool
    only_gathers_left: bool | None

    @property
    def has_failed(self) -> bool:
        """Whether the parent itself failed, in a way that counts."""
        return self.state in NODE_FAILED and not self.allow_failure

    @property
    def starts_gathers(self) -> bool:
        """Whether it is for the gather nodes under the parent to start; under a skipped one none does."""
        return bool(self.only_gathers_left) and self.state != NodeState.SKIPPED


def settle(run_id: UUID, node_id: UUID | None, *, again: bool = False) -> Settled:
    """Settle a node if nothing under it is left to do, then its parent, and so on.

    Args:
        run_id: the run.
        node_id: the lowest node that may have become settled; None starts at the run itself.
        again: whether an earlier try was broken off; then nodes that it may have settled are passed by. Otherwise a
            settled node is an end: whoever has settled it goes on.

    Returns:
        Gather nodes that are to be published now, or that became ready, or the state in which the run ended.
    """
    steps = 0
    while node_id is not None:
        look = _look(node_id)
        if look is not None and look.settled and again:
            node_id = look.parent_id
            continue
        if look is None or look.settled or look.state not in NODE_FINAL:
            return Settled()
        if _goes_on_below(node_id, look):
            started = _start_gathers(run_id, node_id, look, look.revision) if look.starts_gathers else Settled()
            if started is not None:
                return started
            continue
        if not _mark(run_id, node_id, look):
            if again:
                continue
            return Settled()
        node_id, steps = look.parent_id, steps + 1
        if steps >= _STEPS_BEFORE_CLIMB and node_id is not None:
            node_id = climb(run_id, node_id)
    return settle_run(run_id)


def settle_run(run_id: UUID) -> Settled:
    """Give the run its final state if nothing in it is left to do, or queue the gather nodes directly under it."""
    while True:
        statement = _LOOK_AT_RUN_MYSQL if sql.connection().vendor == "mysql" else _LOOK_AT_RUN
        look = sql.rows(statement, run_id, run_id)
        if not look:
            return Settled()
        revision, only_gathers_left = look[0]
        if only_gathers_left is not None:
            started = _start_gathers(run_id, None, None, revision) if only_gathers_left else Settled()
            if started is not None:
                return started
            continue
        return _end(run_id, revision)


def _end(run_id: UUID, revision: int) -> Settled:
    ended = RunState.FAILURE if _has_failed(run_id, None) else RunState.SUCCESS
    # The revision guards against nodes that are added, or run again, between the look and this.
    still_open = TreeRun.objects.using(write_alias()).filter(id=run_id, state__in=RUN_OPEN, revision=revision)
    moved = still_open.update(state=ended, finished_at=times.now())
    return Settled(ended=ended if moved else None)


def _look(node_id: UUID) -> _Look | None:
    found = sql.rows(_LOOK, node_id, node_id)
    if not found:
        return None
    parent_id, state, settled, child_count, revision, allow_failure, unsettled = found[0]
    return _Look(
        parent_id=None if parent_id is None else sql.as_uuid(parent_id),
        state=state,
        settled=bool(settled),
        child_count=child_count,
        revision=revision,
        allow_failure=bool(allow_failure),
        only_gathers_left=None if unsettled is None else bool(unsettled),
    )


def _mark(run_id: UUID, node_id: UUID, look: _Look) -> bool:
    # What is below a skipped node counts for nothing: most often it was not reached.
    failed = look.state != NodeState.SKIPPED and (look.has_failed or _has_failed(run_id, node_id))
    # Both numbers guard against children that are added, or run again, between the look and this.
    guarded = nodes().filter(id=node_id, settled=False, child_count=look.child_count, revision=look.revision)
    return guarded.update(settled=True, failed=failed) == 1


def _goes_on_below(node_id: UUID, look: _Look) -> bool:
    """Whether anything below a node is left to do; below a skipped one only what runs again, as it had run before."""
    if look.only_gathers_left is None or look.state != NodeState.SKIPPED:
        return look.only_gathers_left is not None
    return nodes().filter(parent_id=node_id, settled=False).exclude(NOT_REACHED).exists()


def _has_failed(run_id: UUID, parent_id: UUID | None) -> bool:
    return nodes().under(run_id, parent_id).filter(failed=True).exists()


def _start_gathers(run_id: UUID, parent_id: UUID | None, look: _Look | None, revision: int) -> Settled | None:
    """With only gather nodes left, queue those that fit what ran before them and skip the others.

    Returns:
        The nodes to publish; none where they are running already; None where it must be looked again: all were skipped,
        so that nothing is left, or nodes were added or are run again.
    """
    with transaction.atomic(using=write_alias()):
        return _release_gathers(run_id, parent_id, look) if _stays(run_id, parent_id, look, revision) else None


def _stays(run_id: UUID, parent_id: UUID | None, look: _Look | None, revision: int) -> bool:
    """Lock a parent, or the run, if it is as it was looked at: what changes it comes before this, or after."""
    if look is None or parent_id is None:
        runs = TreeRun.objects.using(write_alias()).filter(id=run_id, revision=revision, state__in=RUN_OPEN)
        return runs.update(revision=revision) == 1
    parents = nodes().filter(id=parent_id, child_count=look.child_count, revision=revision, settled=False)
    return parents.update(revision=revision) == 1


def _release_gathers(run_id: UUID, parent_id: UUID | None, look: _Look | None) -> Settled | None:
    unsettled = nodes().under(run_id, parent_id).filter(settled=False, is_gather=True)
    rows = list(unsettled.in_order().values_list("state", "run_when", "hold", "run__state", *DISPATCH_COLUMNS))
    if any(state != NodeState.PENDING for state, *_ in rows):
        return Settled()
    failed = (look is not None and look.has_failed) or _has_failed(run_id, parent_id)
    fits = {RunWhen.ALWAYS, RunWhen.FAILURE if failed else RunWhen.SUCCESS}
    fitting = [(hold, run_state, Dispatch(*columns)) for _, when, hold, run_state, *columns in rows if when in fits]
    others = [row[4] for row in rows if row[1] not in fits]
    if others:
        skip(nodes().filter(id__in=others))
    if not fitting:
        return None
    return _queue_or_make_ready(fitting)


def _queue_or_make_ready(fitting: list[tuple[str, str, Dispatch]]) -> Settled:
    free = [
        dispatch
        for hold, run_state, dispatch in fitting
        if hold == Hold.NONE and run_state == RunState.STARTED and dispatch.limiter is None
    ]
    free_ids = [dispatch.id for dispatch in free]
    waiting = [dispatch.id for _, _, dispatch in fitting if dispatch.id not in free_ids]
    ready = make_ready(nodes().filter(id__in=waiting)) if waiting else 0
    # Two that settle at once both come here; the UPDATE's row count names the one that publishes.
    queued = queue(nodes().filter(id__in=free_ids)) if free else 0
    return Settled(dispatches=tuple(free) if queued else (), ready=bool(ready))


def half_settled(run_id: UUID) -> list[UUID]:
    """Find nodes that have ended, with all below them, and were not settled: where to settle from.

    Whatever revokes nodes in the middle of a tree, or was broken off between finish and settle, leaves such nodes.
    """
    ended = nodes().filter(run_id=run_id, state__in=NODE_FINAL, settled=False)
    return list(nothing_left_below(ended).values_list("id", flat=True))


def nothing_left_below(ended: NodeRunQuerySet) -> NodeRunQuerySet:
    """Give those of some nodes that have ended under which nothing is left to do, or gather nodes alone."""
    unsettled = nodes().filter(parent_id=OuterRef("id"), settled=False)
    left = Exists(unsettled.exclude(NOT_REACHED, is_gather=True))
    left_below_skipped = Exists(unsettled.exclude(NOT_REACHED))
    skipped = Q(state=NodeState.SKIPPED)
    return ended.exclude(~skipped & left).exclude(skipped & left_below_skipped)
