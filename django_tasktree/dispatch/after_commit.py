"""What follows the commit of a change: publish the queued nodes, advance the run, settle, send signals.

Each of these steps may lead to further ones. They are processed in a loop, in this process, until none is left.
"""

import logging
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import count
from uuid import UUID

from django.db import transaction

from django_tasktree.conf import settings
from django_tasktree.dispatch.follow_up import FollowUp, OfRun, finish_attempt, send, send_finished
from django_tasktree.dispatch.postponed import postpone
from django_tasktree.dispatch.publisher import publish
from django_tasktree.dispatch.shared_messages import for_waiting_lanes, note_end, with_message
from django_tasktree.dispatch.sub_run_steps import end_node_of, stop_sub_runs
from django_tasktree.dispatch.termination import terminate_below
from django_tasktree.dispatch.wait_steps import begin_waits
from django_tasktree.dispatch.waits import without_waits
from django_tasktree.encoding.errors import describe
from django_tasktree.engine.database_retries import retry_transient, retry_transient_flagged
from django_tasktree.engine.lifecycle.advance import advance
from django_tasktree.engine.lifecycle.claim import Deferred
from django_tasktree.engine.lifecycle.finish_together import finish_together
from django_tasktree.engine.lifecycle.settle import finished_but_unsettled, settle, tolerant_nodes
from django_tasktree.engine.transitions import write_alias
from django_tasktree.engine.traversal import in_chunks
from django_tasktree.engine.types import Dispatch, Launched, NodeRef, Outcome
from django_tasktree.exceptions import StaleAttempt
from django_tasktree.signals import run_finished, run_started
from django_tasktree.states import NodeState, RunState

logger = logging.getLogger(__name__)


def finish_and_propagate(node: NodeRef, outcome: Outcome, sources: Iterable[NodeState] = (NodeState.STARTED,)) -> None:
    """Finish an attempt; after the commit, publish its children, settle and send ``node_finished``.

    Args:
        node: the attempt.
        outcome: its outcome.
        sources: see :func:`django_tasktree.engine.lifecycle.finish.finish`.

    Raises:
        StaleAttempt: the attempt is out of date; nothing is written.
    """
    follow_up = finish_attempt(node, outcome, sources)
    transaction.on_commit(partial(_process_outcome, node, outcome, follow_up), using=write_alias())


def finish_together_and_propagate(ended: Sequence[tuple[NodeRef, Outcome]]) -> set[UUID]:
    """Finish several attempts of one run; see :func:`django_tasktree.engine.lifecycle.finish_together`.

    Then send ``node_finished`` for each, and settle each parent once. Call it outside any transaction.

    Args:
        ended: the attempts and their outcomes.

    Returns:
        The IDs of the nodes whose outcome was written.
    """
    written = finish_together(ended)
    parents: dict[UUID | None, UUID] = {}
    for node, outcome in ended:
        if node.id in written:
            send_finished(node, outcome)
            parents[node.parent_id] = node.run_id
    for parent_id, run_id in parents.items():
        process(run_id, FollowUp(settles=True, settle_from=parent_id))
    return written


def publish_after_commit(run_id: UUID, dispatches: Iterable[Dispatch]) -> None:
    """Publish queued nodes when the current transaction commits; without a transaction, now."""
    transaction.on_commit(partial(process, run_id, FollowUp(dispatches, shares=False)), using=write_alias())


def publish_launch_after_commit(launched: Launched) -> None:
    """Send ``run_started`` and publish the root nodes of a new run when the current transaction commits.

    Args:
        launched: the run. Nothing is done if it existed already.
    """
    if not launched.created:
        return
    follow_up = FollowUp(launched.dispatches, advances=launched.runnable, ended=launched.ended)
    transaction.on_commit(partial(_process_launch, launched.run_id, follow_up), using=write_alias())


def advance_and_settle_after_commit(
    run_id: UUID,
    *,
    started: bool = False,
    resumed: bool = False,
    terminates: bool = False,
    ended: RunState | None = None,
) -> None:
    """Queue and settle whatever an action on a run allows when the current transaction commits; send its signals.

    Args:
        run_id: the run.
        started: whether the action launched a draft: then ``run_started`` is sent first.
        resumed: whether nodes may start again that could not start before.
        terminates: whether the running tasks of sub-runs that the action ends are terminated.
        ended: the final state that the action gave the run: then ``run_finished`` is sent last.
    """
    follow_up = FollowUp(
        advances=True, wakes=resumed, finished_but_unsettled=True, terminates_sub_runs=terminates, ended=ended
    )
    transaction.on_commit(partial(_process_launch if started else process, run_id, follow_up), using=write_alias())


def publish_now(run_id: UUID, dispatches: Iterable[Dispatch]) -> None:
    """Publish queued nodes. Call it outside any transaction."""
    process(run_id, FollowUp(dispatches, shares=False))


def settle_now(run_id: UUID, node_id: UUID | None) -> None:
    """Settle a run, upwards from a node or only the run itself, and process what follows.

    If the node tolerates failures, they are counted. Call it outside any transaction.

    Args:
        run_id: the run.
        node_id: the node to start at; None starts at the run.
    """
    process(run_id, FollowUp(settles=True, settle_from=node_id, recount=True))


def advance_and_settle_now(run_id: UUID) -> None:
    """Queue and settle all nodes of a run that allow it. Call it outside any transaction."""
    process(run_id, FollowUp(advances=True, finished_but_unsettled=True))


def advance_now(run_id: UUID) -> int:
    """Queue the nodes of a run that may start, within its limits, and publish them. Call it outside any transaction.

    Before, those that must not start because too many others have failed are revoked.

    Returns:
        The number of nodes that were queued.
    """
    for node_id in retry_transient(lambda: tolerant_nodes(run_id)):
        process(run_id, FollowUp(settles=True, settle_from=node_id, recount=True))
    numbers = count()
    process(run_id, FollowUp(dispatch for dispatch, _ in zip(advance(run_id), numbers, strict=False)))
    return next(numbers)


def process_deferred(node: NodeRef, deferred: Deferred) -> None:
    """Process what follows a refused claim, when the current transaction commits; without a transaction, now."""
    follow_up = FollowUp(deferred.dispatches, shares=False)
    if deferred.revoked:
        follow_up = FollowUp(
            advances=node.limit_scope_id is not None,
            limit_scope_id=node.limit_scope_id,
            settles=True,
            settle_from=node.parent_id,
            failed=True,
        )
    transaction.on_commit(partial(process, node.run_id, follow_up), using=write_alias())


def free_place_after_commit(node: NodeRef) -> None:
    """Queue another node under the limit of a node that waits for a sub-run, when the current transaction commits."""
    if node.limit_scope_id is not None:
        follow_up = FollowUp(advances=True, limit_scope_id=node.limit_scope_id)
        transaction.on_commit(partial(process, node.run_id, follow_up), using=write_alias())


def _process_outcome(node: NodeRef, outcome: Outcome, follow_up: FollowUp) -> None:
    send_finished(node, outcome)
    process(node.run_id, follow_up)


def _process_launch(run_id: UUID, follow_up: FollowUp) -> None:
    send(run_started, run_id=run_id)
    process(run_id, follow_up)


def process(run_id: UUID, follow_up: FollowUp) -> None:
    """Process what follows a commit. Call it outside any transaction."""
    process_all(run_id, [follow_up])


def process_all(run_id: UUID, follow_ups: Iterable[FollowUp]) -> None:
    """Process what follows a commit, in the run and in its sub-runs, until nothing is left to do.

    If a receiver of ``node_waiting`` has made the change, its caller does that when the receiver has returned.
    """
    if postpone(run_id, follow_ups):
        return
    rest: deque[OfRun] = deque([(run_id, follow_ups)])
    while rest:
        rest.extend(_process_run(*rest.popleft()))


def _process_run(run_id: UUID, follow_ups: Iterable[FollowUp]) -> list[OfRun]:
    """Process what follows in one run; return what follows in others: its sub-runs, and the run that has started it."""
    others: list[OfRun] = []
    queue = deque(follow_ups)
    while queue:
        work = queue.popleft()
        # An iterator counts as true.
        published = _publish(work, queue) if work.dispatches else 0
        if work.terminates_below is not None:
            terminate_below(run_id, work.terminates_below)
        if work.settles and published == 0:
            queue.extend(_settle(run_id, work.settle_from, failed=work.failed, recount=work.recount))
        if work.finished_but_unsettled:
            for node_id in retry_transient(lambda: finished_but_unsettled(run_id)):
                # Of a node that tolerates failures, they are counted.
                queue.extend(_settle(run_id, node_id, recount=True))
            queue.extend(_settle(run_id, None))
            terminates = work.terminates_sub_runs or work.terminates_below is not None
            others.extend(stop_sub_runs(run_id, terminates=terminates))
        if work.advances:
            queue.append(FollowUp(advance(run_id, work.limit_scope_id)))
        if work.wakes:
            queue.append(FollowUp(for_waiting_lanes(run_id), shares=False))
        if work.ended is not None:
            note_end(run_id)
            send(run_finished, run_id=run_id, state=work.ended)
            if work.may_be_sub_run:
                others.extend(end_node_of(run_id))
    return others


def _publish(work: FollowUp, queue: deque[FollowUp]) -> int:
    """Publish queued nodes; fail those whose message can't be created, and append what follows from this.

    Returns:
        How many nodes had been queued.
    """
    numbers = count()
    queued = (dispatch for dispatch, _ in zip(work.dispatches, numbers, strict=False))
    waits: list[Dispatch] = []
    tasks = without_waits(queued, waits)
    report = publish(with_message(tasks) if work.shares else tasks)
    queue.extend(_fail(dispatch, error) for dispatch, error in report.refused)
    for batch in in_chunks(waits, settings.batch_size):
        queue.extend(begin_waits([dispatch.id for dispatch in batch]))
    return next(numbers)


def _settle(run_id: UUID, node_id: UUID | None, *, failed: bool = False, recount: bool = False) -> Iterator[FollowUp]:
    settled = retry_transient_flagged(
        lambda again: settle(run_id, node_id, again=again, failed=failed, recount=recount)
    )
    if settled.dispatches or settled.runnable or settled.stopped or settled.ended is not None:
        yield FollowUp(
            settled.dispatches,
            advances=settled.runnable,
            finished_but_unsettled=settled.stopped,
            terminates_below=settled.terminates_below,
            ended=settled.ended,
            may_be_sub_run=settled.is_sub_run,
        )


def _fail(dispatch: Dispatch, error: Exception) -> FollowUp:
    """Fail a node whose message can't be created."""
    try:
        return finish_attempt(
            NodeRef.of(dispatch), Outcome(NodeState.FAILURE, error=describe(error)), [NodeState.QUEUED]
        )
    except StaleAttempt:
        logger.info("node %s is no longer queued: the message that could not be created is not needed", dispatch)
        return FollowUp()
