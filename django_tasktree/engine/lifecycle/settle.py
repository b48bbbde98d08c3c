"""settle: mark finished nodes as settled once everything below them is, upwards to the run.

It runs after commit of the outcome and keeps no locks between its steps, so of the last two siblings that finish, at
least one sees both. Each step is safe to repeat; the same walk completes what a crash has left half settled.
"""

from uuid import UUID

from django.db.models import Exists, OuterRef, Q

from django_tasktree.encoding import times
from django_tasktree.engine.backends import backend
from django_tasktree.engine.backends.children import mark_settled
from django_tasktree.engine.lifecycle.gathers import Look, start_gathers
from django_tasktree.engine.lifecycle.quorum import with_waiting_quorums
from django_tasktree.engine.lifecycle.settle_chain import settle_chain
from django_tasktree.engine.lifecycle.tolerance import explain_failure, has_failed_below, note_failure, stop_above
from django_tasktree.engine.rules import IS_LEFT, IS_UNSETTLED
from django_tasktree.engine.transitions import move, nodes, runs
from django_tasktree.engine.types import Settled
from django_tasktree.models.querysets import NodeRunQuerySet
from django_tasktree.states import NODE_FINAL, RUN_GOING, NodeState, RunState

#: After this many single steps upwards, `settle_chain` settles hundreds of ancestors at a time.
_STEPS_BEFORE_CLIMB = 3

#: Which children are left to do: below a node that was not skipped, and below a skipped one.
_LEFT = IS_LEFT.given(parent__state=NodeState.SUCCESS).q()
_TOLERATES = Q(tolerated__isnull=False)
_LEFT_BELOW_SKIPPED = IS_LEFT.given(parent__state=NodeState.SKIPPED).q()


def settle(
    run_id: UUID, node_id: UUID | None, *, again: bool = False, failed: bool = False, recount: bool = False
) -> Settled:
    """Settle a node if nothing under it is left to do, then its parent, and so on up to the run.

    Args:
        run_id: the run.
        node_id: the lowest node that may settle; None: start at the run itself.
        again: whether an earlier try was interrupted. Then the walk passes nodes that are settled already; otherwise
            it ends at such a node, because the process that settled it continues from there.
        failed: whether a child of the node has just failed.
        recount: whether to count the failed children of the node, if it tolerates failures.

    Returns:
        Gather nodes to publish, whether gather nodes became runnable, and the final state of the run if it has ended.
    """
    steps = 0
    while node_id is not None:
        look = _look(node_id)
        if look is not None and look.settled and again:
            node_id = look.parent_id
            continue
        if look is None or look.settled or look.state not in NODE_FINAL:
            return Settled()
        stopped = _stop_rest(node_id, look, failed=failed, recount=again or recount)
        if stopped is not None:
            return stopped
        if _continues_below(node_id, look):
            started = _started_below(run_id, node_id, look)
            if started is not None:
                return started
            continue
        failed = _fails(run_id, node_id, look)
        if not mark_settled(node_id, look.child_count, look.revision, failed=failed):
            if again:
                continue
            return Settled()
        node_id, steps, recount = look.parent_id, steps + 1, False
        if steps >= _STEPS_BEFORE_CLIMB and node_id is not None:
            node_id, failed = settle_chain(run_id, node_id, failed=failed)
    return settle_run(run_id)


def settle_run(run_id: UUID) -> Settled:
    """Move the run to its final state if nothing in it is left to do, or start the gather nodes directly under it.

    Returns:
        See :func:`settle`.
    """
    while True:
        look = backend().look_at_run(run_id)
        if look is None:
            return Settled()
        revision, waits_for_quorum, only_gathers_left, is_sub_run = look
        if only_gathers_left is not None:
            started: Settled | None = Settled()
            if only_gathers_left or waits_for_quorum:
                started = start_gathers(
                    run_id,
                    None,
                    None,
                    revision,
                    all_settled=bool(only_gathers_left),
                    waits_for_quorum=bool(waits_for_quorum),
                )
            if started is not None:
                return started
            continue
        settled = _end(run_id, revision, is_sub_run=bool(is_sub_run))
        # A pause, or an event that came too late, changes the revision, too; nobody settles after that.
        if settled is not None:
            return settled


def _end(run_id: UUID, revision: int, *, is_sub_run: bool) -> Settled | None:
    """End the run; return None if it has another revision now."""
    ended = RunState.FAILURE if has_failed_below(run_id, None) else RunState.SUCCESS
    # The revision guards against nodes that are added or reset between the read and this UPDATE.
    moved = move(runs().filter(id=run_id, revision=revision), RUN_GOING, ended, finished_at=times.now())
    return Settled(ended=ended, is_sub_run=is_sub_run) if moved else None


def _look(node_id: UUID) -> Look | None:
    found = backend().look_at_node(node_id)
    if found is None:
        return None
    parent_id, state, settled, child_count, revision, allow_failure, tolerated, waits_for_quorum, unsettled = found
    return Look(
        parent_id=parent_id,
        state=state,
        settled=bool(settled),
        child_count=child_count,
        revision=revision,
        allow_failure=bool(allow_failure),
        tolerated=tolerated,
        waits_for_quorum=bool(waits_for_quorum),
        only_gathers_left=None if unsettled is None else bool(unsettled),
    )


def _stop_rest(node_id: UUID, look: Look, *, failed: bool, recount: bool) -> Settled | None:
    """Revoke the rest below a node, and stop what its failure stops, if more children have failed than it tolerates."""
    if look.tolerated is None:
        return None
    stopped = note_failure(node_id, look.tolerated, fresh=recount) if failed or recount else None
    is_over = look.only_gathers_left is not False and look.state != NodeState.SKIPPED and not look.has_failed
    return stop_above(node_id) if stopped is None and is_over else stopped


def _fails(run_id: UUID, node_id: UUID, look: Look) -> bool:
    # Failures below a skipped node do not count: usually those nodes were not reached.
    fails = look.state != NodeState.SKIPPED and (look.has_failed or has_failed_below(run_id, node_id, look.tolerated))
    if fails and look.tolerated is not None:
        explain_failure(node_id, look.revision)
    return fails


def _continues_below(node_id: UUID, look: Look) -> bool:
    """Return whether anything below a node is left to do.

    Below a skipped node, only nodes that run again count: those had run before it was skipped.
    """
    if look.only_gathers_left is None or look.state != NodeState.SKIPPED:
        return look.only_gathers_left is not None
    return nodes().filter(_LEFT_BELOW_SKIPPED, parent_id=node_id).exists()


def _started_below(run_id: UUID, node_id: UUID, look: Look) -> Settled | None:
    """Start the gather nodes below a node if they may start; see :func:`start_gathers`."""
    if not look.may_start_gathers:
        return Settled()
    return start_gathers(
        run_id,
        node_id,
        look,
        look.revision,
        all_settled=bool(look.only_gathers_left),
        waits_for_quorum=look.waits_for_quorum,
    )


def finished_but_unsettled(run_id: UUID) -> list[UUID]:
    """Return finished nodes under which nothing is left to do but which are not settled: the nodes to settle from.

    Such nodes remain when nodes are revoked in the middle of a tree, or when a process ends between finish and settle.
    Nodes that tolerate failures, or below which a gather node with a quorum waits, are among them even if something is
    left: too many may have failed.
    """
    ended = nodes().filter(IS_UNSETTLED.q(), run_id=run_id, state__in=NODE_FINAL)
    found = nothing_left_below(ended) | ended.filter(_TOLERATES) | with_waiting_quorums(ended)
    return list(found.values_list("id", flat=True))


def tolerant_nodes(run_id: UUID) -> list[UUID]:
    """Return the finished but unsettled nodes of a run that tolerate failures."""
    ended = nodes().filter(IS_UNSETTLED.q(), _TOLERATES, run_id=run_id, state__in=NODE_FINAL)
    return list(ended.values_list("id", flat=True))


def nothing_left_below(ended: NodeRunQuerySet) -> NodeRunQuerySet:
    """Return those of some finished nodes under which nothing, or only waiting gather nodes, is left to do."""
    children = nodes().filter(parent_id=OuterRef("id"))
    left = Exists(children.filter(_LEFT))
    left_below_skipped = Exists(children.filter(_LEFT_BELOW_SKIPPED))
    skipped = Q(state=NodeState.SKIPPED)
    return ended.exclude(~skipped & left).exclude(skipped & left_below_skipped)
