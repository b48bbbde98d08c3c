"""Start the gather nodes under a parent once everything else under it has settled, or their quorum is decided."""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from django.db import transaction

from django_tasktree.engine.backends.children import (
    lock_unchanged_parent,
    lock_unchanged_run,
    queue_nodes,
    unsettled_gathers,
)
from django_tasktree.engine.lifecycle.quorum import decided_quorums
from django_tasktree.engine.lifecycle.release import make_runnable, skip
from django_tasktree.engine.lifecycle.tolerance import has_failed_below
from django_tasktree.engine.rules import FAILURE_COUNTS, FOLLOWING_ALL, MAY_START
from django_tasktree.engine.transitions import nodes, write_alias
from django_tasktree.engine.types import Dispatch, Settled
from django_tasktree.states import NodeState


@dataclass(frozen=True, slots=True)
class Look:
    """What `settle` reads of a parent.

    Attributes:
        tolerated: how many of its children may fail; None: none, and failures do not stop the others.
        waits_for_quorum: whether a gather node with a quorum waits below it.
        only_gathers_left: whether only gather nodes are left to settle below it; None if nothing is left.
    """

    parent_id: UUID | None
    state: str
    settled: bool
    child_count: int
    revision: int
    allow_failure: bool
    tolerated: int | None
    waits_for_quorum: bool
    only_gathers_left: bool | None

    @property
    def has_failed(self) -> bool:
        """Whether the parent itself failed and the failure counts."""
        return FAILURE_COUNTS.holds(self)

    @property
    def may_start_gathers(self) -> bool:
        """Whether gather nodes under the parent may be able to start; none does under a skipped node."""
        return (bool(self.only_gathers_left) or self.waits_for_quorum) and self.state != NodeState.SKIPPED


def start_gathers(
    run_id: UUID,
    parent_id: UUID | None,
    look: Look | None,
    revision: int,
    *,
    all_settled: bool,
    waits_for_quorum: bool,
) -> Settled | None:
    """Start gather nodes under a parent: queue those that fit and skip the others.

    Args:
        run_id: the run.
        parent_id: the parent; None: the run.
        look: what was read of the parent; None for the run.
        revision: that of the parent or the run, when it was read.
        all_settled: whether only gather nodes are left; otherwise only those start whose quorum is decided.
        waits_for_quorum: whether a gather node with a quorum waits.

    Returns:
        The nodes to publish, which are none if gather nodes have started already. None if the caller must read the
        parent again: all gather nodes were skipped, so that nothing is left, or nodes were added or reset.
    """
    reached = decided_quorums(run_id, parent_id) if waits_for_quorum else {}
    if not all_settled and not reached:
        return Settled()
    with transaction.atomic(using=write_alias()):
        if not _stays(run_id, parent_id, look, revision):
            return None
        return _release_gathers(run_id, parent_id, look, reached, all_settled=all_settled)


def _stays(run_id: UUID, parent_id: UUID | None, look: Look | None, revision: int) -> bool:
    """Lock the parent, or the run, and return whether it is unchanged since it was read."""
    if look is None or parent_id is None:
        return lock_unchanged_run(run_id, revision)
    return lock_unchanged_parent(parent_id, look.child_count, revision)


def _release_gathers(
    run_id: UUID, parent_id: UUID | None, look: Look | None, reached: Mapping[str, bool], *, all_settled: bool
) -> Settled | None:
    rows = unsettled_gathers(run_id, parent_id)
    if all_settled and any(not quorum and state != NodeState.PENDING for _, quorum, state, *_ in rows):
        return Settled()
    parent_failed = look is not None and look.has_failed
    failed: dict[str, bool] = {quorum: parent_failed or not succeeds for quorum, succeeds in reached.items()}
    if all_settled:
        tolerated = None if look is None else look.tolerated
        failed[""] = parent_failed or has_failed_below(run_id, parent_id, tolerated)
    fitting: list[tuple[str, str, Dispatch]] = []
    others: list[UUID] = []
    for _, quorum, state, when, hold, *columns, run_state in rows:
        if state != NodeState.PENDING or quorum not in failed:
            continue
        dispatch = Dispatch.of_columns(columns)
        if when in FOLLOWING_ALL[failed[quorum]]:
            fitting.append((hold, run_state, dispatch))
        else:
            others.append(dispatch.id)
    if others:
        skip(nodes().filter(id__in=others))
    if not fitting:
        # If all are skipped, or another process has skipped them, nothing may be left.
        return None if all_settled and len(others) == len(rows) else Settled()
    return _queue_or_make_runnable(fitting)


def _queue_or_make_runnable(fitting: list[tuple[str, str, Dispatch]]) -> Settled:
    free = [
        dispatch
        for hold, run_state, dispatch in fitting
        if MAY_START.holds({"hold": hold, "run__state": run_state, "limit_scope_id": dispatch.limit_scope_id})
    ]
    free_ids = [dispatch.id for dispatch in free]
    waiting = [dispatch.id for _, _, dispatch in fitting if dispatch.id not in free_ids]
    runnable = make_runnable(nodes().filter(id__in=waiting)) if waiting else 0
    # Two processes that settle at once may both come here; the one whose UPDATE matched rows publishes.
    queued = queue_nodes(free_ids) if free else 0
    return Settled(dispatches=tuple(free) if queued else (), runnable=bool(runnable))
