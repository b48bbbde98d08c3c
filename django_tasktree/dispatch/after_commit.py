"""What follows the commit of a change: publish the queued nodes, advance the run, settle, send signals.

Each of these steps may lead to further ones. They are processed in a loop, in this process, until none is left.
"""

import logging
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import Any
from uuid import UUID

from django.db import connections, transaction
from django.dispatch import Signal

from django_tasktree.conf import settings
from django_tasktree.dispatch.open_transactions import rolled_back_after
from django_tasktree.dispatch.publisher import publish
from django_tasktree.dispatch.shared_messages import for_waiting_lanes, lane_to_continue, note_end, with_message
from django_tasktree.dispatch.sub_run_outcome import outcome_of
from django_tasktree.dispatch.termination import terminate_below
from django_tasktree.dispatch.waits import outcome_by_event, schedule_end, timed_out, without_waits
from django_tasktree.encoding import times
from django_tasktree.encoding.errors import describe
from django_tasktree.engine.control.sub_runs import (
    Abandoned,
    abandoned,
    lock_waiting_node,
    stop_abandoned,
    waiting_node,
)
from django_tasktree.engine.control.waits import (
    OpenWait,
    first_open_wait,
    is_due,
    lock_wait,
    note_sent,
    open_waits,
    take_event,
)
from django_tasktree.engine.database_retries import retry_transient, retry_transient_flagged
from django_tasktree.engine.lifecycle.advance import advance
from django_tasktree.engine.lifecycle.finish import finish
from django_tasktree.engine.lifecycle.finish_together import finish_together
from django_tasktree.engine.lifecycle.settle import finished_but_unsettled, settle, tolerant_nodes
from django_tasktree.engine.lifecycle.stop import stop_late_children
from django_tasktree.engine.transitions import runs, write_alias
from django_tasktree.engine.traversal import in_chunks
from django_tasktree.engine.types import Dispatch, Launched, NodeRef, Outcome
from django_tasktree.exceptions import NotPossible, RunNotFound, StaleAttempt
from django_tasktree.models import NodeRun, RunEvent, TreeRun
from django_tasktree.signals import node_finished, node_waiting, run_finished, run_started
from django_tasktree.states import NODE_FAILED, RUN_FINAL, NodeState, RunState

logger = logging.getLogger(__name__)


@dataclass
class _FollowUp:
    """The work that follows a commit.

    Attributes:
        dispatches: queued nodes to publish.
        shares: whether the nodes are queued for the first time, so that those that share messages need none.
        advances: whether to queue the nodes of the run that may start now.
        wakes: whether nodes of the run may be queued without a message on its way, because they could not start.
        limit_scope_id: the run or node under whose limit a place has become free; None looks at all nodes. See
            :func:`django_tasktree.engine.lifecycle.advance.advance`.
        settles: whether to settle if there was nothing to publish.
        settle_from: the lowest node to settle; None starts at the run.
        failed: whether a child of that node has just failed.
        finished_but_unsettled: whether nodes anywhere in the run may be finished but unsettled, because an action or a
            failure revoked nodes in the middle of the tree.
        terminates_below: the run, or the node with its subtree, whose running tasks a failure terminates.
        terminates_sub_runs: whether the running tasks of sub-runs are terminated for which no node waits any more.
        ended: the final state of the run, if ``run_finished`` must be sent.
        may_be_sub_run: whether a node may wait for the run that has ended.
    """

    dispatches: Iterable[Dispatch] = ()
    shares: bool = True
    advances: bool = False
    wakes: bool = False
    limit_scope_id: UUID | None = None
    settles: bool = False
    settle_from: UUID | None = None
    failed: bool = False
    finished_but_unsettled: bool = False
    terminates_below: UUID | None = None
    terminates_sub_runs: bool = False
    ended: RunState | None = None
    may_be_sub_run: bool = True


#: A run, and what follows in it.
_OfRun = tuple[UUID, Iterable[_FollowUp]]


def finish_and_propagate(node: NodeRef, outcome: Outcome, sources: Iterable[NodeState] = (NodeState.STARTED,)) -> None:
    """Finish an attempt; after the commit, publish its children, settle and send ``node_finished``.

    Args:
        node: the attempt.
        outcome: its outcome.
        sources: see :func:`django_tasktree.engine.lifecycle.finish.finish`.

    Raises:
        StaleAttempt: the attempt is out of date; nothing is written.
    """
    follow_up = _finish(node, outcome, sources)
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
            _send(node_finished, run_id=node.run_id, node_id=node.id, label=node.label, state=outcome.state)
            parents[node.parent_id] = node.run_id
    for parent_id, run_id in parents.items():
        _process(run_id, _FollowUp(settles=True, settle_from=parent_id))
    return written


def publish_after_commit(run_id: UUID, dispatches: Iterable[Dispatch]) -> None:
    """Publish queued nodes when the current transaction commits; without a transaction, now."""
    transaction.on_commit(partial(_process, run_id, _FollowUp(dispatches, shares=False)), using=write_alias())


def publish_launch_after_commit(launched: Launched) -> None:
    """Send ``run_started`` and publish the root nodes of a new run when the current transaction commits.

    Args:
        launched: the run. Nothing is done if it existed already.
    """
    if not launched.created:
        return
    follow_up = _FollowUp(launched.dispatches, advances=launched.runnable, ended=launched.ended)
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
    follow_up = _FollowUp(
        advances=True, wakes=resumed, finished_but_unsettled=True, terminates_sub_runs=terminates, ended=ended
    )
    transaction.on_commit(partial(_process_launch if started else _process, run_id, follow_up), using=write_alias())


def publish_now(run_id: UUID, dispatches: Iterable[Dispatch]) -> None:
    """Publish queued nodes. Call it outside any transaction."""
    _process(run_id, _FollowUp(dispatches, shares=False))


def settle_now(run_id: UUID, node_id: UUID | None) -> None:
    """Settle a run, upwards from a node or only the run itself, and process what follows.

    Call it outside any transaction.

    Args:
        run_id: the run.
        node_id: the node to start at; None starts at the run.
    """
    _process(run_id, _FollowUp(settles=True, settle_from=node_id))


def advance_and_settle_now(run_id: UUID) -> None:
    """Queue and settle all nodes of a run that allow it. Call it outside any transaction."""
    _process(run_id, _FollowUp(advances=True, finished_but_unsettled=True))


def advance_now(run_id: UUID) -> int:
    """Queue the nodes of a run that may start, within its limits, and publish them. Call it outside any transaction.

    Before, those that must not start because too many others have failed are revoked.

    Returns:
        The number of nodes that were queued.
    """
    for node_id in retry_transient(lambda: tolerant_nodes(run_id)):
        _process(run_id, _FollowUp(settles=True, settle_from=node_id, failed=True))
    numbers = count()
    _process(run_id, _FollowUp(dispatch for dispatch, _ in zip(advance(run_id), numbers, strict=False)))
    return next(numbers)


def begin_waits_now(run_id: UUID, ids: Sequence[UUID]) -> None:
    """Process that nodes of a run have begun to wait, if a crash has kept that from being done."""
    _process_all(run_id, _begin_waits(ids))


def end_waits_by_event_now(run_id: UUID, event: str) -> int:
    """End the nodes of a run that wait for an event, each by one of the events that were sent.

    Returns:
        How many nodes have ended.
    """
    number = 0
    previous: NodeRef | None = None
    while (wait := retry_transient(lambda: first_open_wait(run_id, event))) is not None:
        ended = list(_end_by_event(wait))
        if not ended and wait.node == previous:
            # No event is left. Before, another process may have ended the node or taken the event in the meantime.
            break
        previous = None if ended else wait.node
        number += len(ended)
        _process_all(run_id, ended)
    return number


def end_wait_if_due_now(wait: OpenWait) -> bool:
    """End a wait whose time has passed.

    Returns:
        False if its time has not passed, it has ended already, or the run is CHANGING.
    """
    ended = list(_end_wait(wait, timed_out(wait))) if is_due(wait, times.now()) else []
    _process_all(wait.node.run_id, ended)
    return bool(ended)


def remind_now(wait: OpenWait) -> None:
    """Send ``node_waiting`` once more. Call it outside any transaction."""
    _announce(wait)


def free_place_after_commit(node: NodeRef) -> None:
    """Queue another node under the limit of a node that waits for a sub-run, when the current transaction commits."""
    if node.limit_scope_id is not None:
        follow_up = _FollowUp(advances=True, limit_scope_id=node.limit_scope_id)
        transaction.on_commit(partial(_process, node.run_id, follow_up), using=write_alias())


def end_waiting_node_now(run: TreeRun) -> bool:
    """Finish the node that waits for a sub-run that has ended. Call it outside any transaction.

    Returns:
        False if no node waits for it any more, or the run of the node is CHANGING.
    """
    follow_ups = list(_end_waiting_node(run))
    for run_id, some in follow_ups:
        _process_all(run_id, some)
    return bool(follow_ups)


def fail_waiting_node_now(node: NodeRun, error: Exception) -> None:
    """Fail a node whose sub-run does not exist any more. Call it outside any transaction."""
    for run_id, some in _end_from_waiting(node, Outcome(NodeState.FAILURE, error=describe(error))):
        _process_all(run_id, some)


def stop_sub_run_now(sub_run: Abandoned) -> bool:
    """Revoke a sub-run that no node waits for any more. Call it outside any transaction.

    Returns:
        False if it has ended in the meantime.
    """
    follow_ups = list(_stop_sub_run(sub_run, terminates=False))
    for run_id, some in follow_ups:
        _process_all(run_id, some)
    return bool(follow_ups)


def _finish(node: NodeRef, outcome: Outcome, sources: Iterable[NodeState]) -> _FollowUp:
    lane = None if connections[write_alias()].in_atomic_block else lane_to_continue(node)
    released = finish(node, outcome, sources, None if lane is None else lane.taker)
    if lane is not None:
        lane.taken_child = released.taken
    return _FollowUp(
        released.dispatches,
        # A place under the limit is free now, or a child waits for one.
        advances=released.runnable or node.limit_scope_id is not None,
        limit_scope_id=None if released.runnable else node.limit_scope_id,
        settles=released.taken is None,
        settle_from=node.parent_id if released.settled else node.id,
        failed=released.settled and outcome.state in NODE_FAILED,
        finished_but_unsettled=released.stopped,
        terminates_below=node.stop_scope_id if released.terminates else None,
        ended=released.ended,
    )


def _process_outcome(node: NodeRef, outcome: Outcome, follow_up: _FollowUp) -> None:
    _send(node_finished, run_id=node.run_id, node_id=node.id, label=node.label, state=outcome.state)
    if outcome.added:
        retry_transient(lambda: stop_late_children(node))
    _process(node.run_id, follow_up)


def _process_launch(run_id: UUID, follow_up: _FollowUp) -> None:
    _send(run_started, run_id=run_id)
    _process(run_id, follow_up)


def _process(run_id: UUID, follow_up: _FollowUp) -> None:
    _process_all(run_id, [follow_up])


def _process_all(run_id: UUID, follow_ups: Iterable[_FollowUp]) -> None:
    rest: deque[_OfRun] = deque([(run_id, follow_ups)])
    while rest:
        rest.extend(_process_run(*rest.popleft()))


def _process_run(run_id: UUID, follow_ups: Iterable[_FollowUp]) -> list[_OfRun]:
    """Process what follows in one run; return what follows in others: its sub-runs, and the run that has started it."""
    others: list[_OfRun] = []
    queue = deque(follow_ups)
    while queue:
        work = queue.popleft()
        # An iterator counts as true.
        published = _publish(work, queue) if work.dispatches else 0
        if work.terminates_below is not None:
            terminate_below(run_id, work.terminates_below)
        if work.settles and published == 0:
            queue.extend(_settle(run_id, work.settle_from, failed=work.failed))
        if work.finished_but_unsettled:
            for node_id in retry_transient(lambda: finished_but_unsettled(run_id)):
                # Of a node that tolerates failures, they are counted.
                queue.extend(_settle(run_id, node_id, failed=True))
            queue.extend(_settle(run_id, None))
            terminates = work.terminates_sub_runs or work.terminates_below is not None
            others.extend(_stop_sub_runs(run_id, terminates=terminates))
        if work.advances:
            queue.append(_FollowUp(advance(run_id, work.limit_scope_id)))
        if work.wakes:
            queue.append(_FollowUp(for_waiting_lanes(run_id), shares=False))
        if work.ended is not None:
            note_end(run_id)
            _send(run_finished, run_id=run_id, state=work.ended)
            if work.may_be_sub_run:
                others.extend(_end_node_of(run_id))
    return others


def _publish(work: _FollowUp, queue: deque[_FollowUp]) -> int:
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
        queue.extend(_begin_waits([dispatch.id for dispatch in batch]))
    return next(numbers)


def _begin_waits(ids: Sequence[UUID]) -> Iterator[_FollowUp]:
    """Process that nodes have begun to wait: end those whose time or event has come, and announce the others."""
    for wait in retry_transient(lambda: open_waits(ids)):
        outcome = retry_transient(partial(schedule_end, wait))
        if outcome is not None:
            yield from _end_wait(wait, outcome)
        elif wait.spec.event:
            ended = list(_end_by_event(wait))
            yield from ended
            if not ended:
                _announce(wait)


def _end_by_event(wait: OpenWait) -> Iterator[_FollowUp]:
    """End a wait by the first event that was sent for it; yield what follows."""
    found = retry_transient(partial(outcome_by_event, wait))
    if found is not None:
        event, outcome = found
        yield from _end_wait(wait, outcome, event)


def _end_wait(wait: OpenWait, outcome: Outcome, event: RunEvent | None = None) -> Iterator[_FollowUp]:
    """End a wait, and yield what follows; nothing if it has ended, the event was taken or the run is CHANGING.

    The sweep ends it later if the run was CHANGING.
    """
    follow_up = retry_transient(partial(_try_to_end, wait, outcome, event))
    if follow_up is not None:
        _send(node_finished, run_id=wait.node.run_id, node_id=wait.node.id, label=wait.node.label, state=outcome.state)
        yield follow_up


def _try_to_end(wait: OpenWait, outcome: Outcome, event: RunEvent | None) -> _FollowUp | None:
    try:
        with transaction.atomic(using=write_alias()):
            node = lock_wait(wait.node)
            if node is None or (event is not None and not take_event(event, node.id)):
                return None
            return _finish(node, outcome, [NodeState.WAITING])
    except (NotPossible, RunNotFound) as exc:
        logger.info("node %s is not ended now: %s", wait.node, exc)
        return None


def _announce(wait: OpenWait) -> None:
    """Send ``node_waiting``. It is counted after it was sent the first time, so that no crash loses it."""
    values = {"run_id": wait.node.run_id, "node_id": wait.node.id, "label": wait.node.label}
    if wait.sent == 0:
        _send(node_waiting, **values, reminder=0)
        retry_transient(lambda: note_sent(wait))
    elif retry_transient(lambda: note_sent(wait)):
        _send(node_waiting, **values, reminder=wait.sent)


def _settle(run_id: UUID, node_id: UUID | None, *, failed: bool = False) -> Iterator[_FollowUp]:
    settled = retry_transient_flagged(lambda again: settle(run_id, node_id, again=again, failed=failed))
    if settled.dispatches or settled.runnable or settled.stopped or settled.ended is not None:
        yield _FollowUp(
            settled.dispatches,
            advances=settled.runnable,
            finished_but_unsettled=settled.stopped,
            terminates_below=settled.terminates_below,
            ended=settled.ended,
            may_be_sub_run=settled.is_sub_run,
        )


def _stop_sub_runs(run_id: UUID, *, terminates: bool) -> Iterator[_OfRun]:
    """Revoke the sub-runs of a run that no node waits for any more, because the nodes were stopped or run again."""
    for sub_run in retry_transient(lambda: abandoned(run_id)):
        yield from _stop_sub_run(sub_run, terminates=terminates)


def _stop_sub_run(sub_run: Abandoned, *, terminates: bool) -> Iterator[_OfRun]:
    if retry_transient(lambda: stop_abandoned(sub_run)):
        below = sub_run.run_id if terminates else None
        yield (
            sub_run.run_id,
            [
                _FollowUp(
                    finished_but_unsettled=True,
                    terminates_below=below,
                    ended=RunState.REVOKED,
                    # No node waits for it.
                    may_be_sub_run=False,
                )
            ],
        )


def _end_node_of(run_id: UUID) -> Iterator[_OfRun]:
    """Finish the node that waits for a run that has ended, if there is one."""
    sub_runs = runs().filter(id=run_id, parent_run_id__isnull=False, state__in=RUN_FINAL)
    run: TreeRun | None = retry_transient(lambda: sub_runs.all().first())
    if run is not None:
        yield from _end_waiting_node(run)


def _end_waiting_node(run: TreeRun) -> Iterator[_OfRun]:
    node = retry_transient(lambda: waiting_node(run))
    if node is not None:
        yield from _end_from_waiting(node, retry_transient(lambda: outcome_of(run, node)))


def _end_from_waiting(node: NodeRun, outcome: Outcome) -> Iterator[_OfRun]:
    follow_up = retry_transient(partial(_try_to_end_from_waiting, node, outcome))
    if follow_up is not None:
        _send(node_finished, run_id=node.run_id, node_id=node.id, label=node.label, state=outcome.state)
        yield node.run_id, [follow_up]


def _try_to_end_from_waiting(node: NodeRun, outcome: Outcome) -> _FollowUp | None:
    """Finish a node that waits for a sub-run; if its run is CHANGING, the sweep does it later."""
    try:
        with transaction.atomic(using=write_alias()):
            ref = lock_waiting_node(node)
            return None if ref is None else _finish(ref, outcome, [NodeState.WAITING])
    except (NotPossible, RunNotFound) as exc:
        logger.info("node %s is not ended now: %s", node.id, exc)
        return None


def _fail(dispatch: Dispatch, error: Exception) -> _FollowUp:
    """Fail a node whose message can't be created."""
    try:
        return _finish(NodeRef.of(dispatch), Outcome(NodeState.FAILURE, error=describe(error)), [NodeState.QUEUED])
    except StaleAttempt:
        logger.info("node %s is no longer queued: the message that could not be created is not needed", dispatch)
        return _FollowUp()


def _send(signal: Signal, **values: Any) -> None:
    """Call the receivers of a signal; isolate the caller from their exceptions and open transactions."""
    if signal.has_listeners():
        with rolled_back_after("a receiver of a signal"):
            signal.send_robust(sender=None, **values)
