"""The work that follows the commit of a change, and the end of an attempt, which leads to such work."""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import connections, transaction
from django.dispatch import Signal

from django_tasktree.dispatch.open_transactions import rolled_back_after
from django_tasktree.dispatch.shared_messages import lane_to_continue
from django_tasktree.engine.database_retries import retry_transient
from django_tasktree.engine.lifecycle.finish import finish
from django_tasktree.engine.transitions import write_alias
from django_tasktree.engine.types import Dispatch, NodeRef, Outcome
from django_tasktree.exceptions import NotPossible, RunNotFound
from django_tasktree.signals import node_finished
from django_tasktree.states import NODE_FAILED, NodeState, RunState

logger = logging.getLogger(__name__)


@dataclass
class FollowUp:
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
        recount: whether to count the failed children of that node, if it tolerates failures.
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
    recount: bool = False
    finished_but_unsettled: bool = False
    terminates_below: UUID | None = None
    terminates_sub_runs: bool = False
    ended: RunState | None = None
    may_be_sub_run: bool = True


#: A run, and what follows in it.
OfRun = tuple[UUID, Iterable[FollowUp]]


def finish_attempt(node: NodeRef, outcome: Outcome, sources: Iterable[NodeState]) -> FollowUp:
    """Finish an attempt.

    Args:
        node: the attempt.
        outcome: its outcome.
        sources: see :func:`django_tasktree.engine.lifecycle.finish.finish`.

    Returns:
        What follows after the commit.

    Raises:
        StaleAttempt: the attempt is out of date; nothing is written.
    """
    lane = None if connections[write_alias()].in_atomic_block else lane_to_continue(node)
    released = finish(node, outcome, sources, None if lane is None else lane.taker)
    if lane is not None:
        lane.taken_child = released.taken
    return FollowUp(
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


def end_from_waiting(node: NodeRef, lock: Callable[[], NodeRef | None], outcome: Outcome) -> FollowUp | None:
    """Finish a node that waits, in a transaction, and send ``node_finished``.

    Args:
        node: the node.
        lock: locks the node, and returns it as it is now; None if it is not to be finished.
        outcome: its outcome.

    Returns:
        What follows; None if the node was not finished. If its run is CHANGING, the sweep finishes it later.
    """
    follow_up = retry_transient(lambda: _try_to_end(node, lock, outcome))
    if follow_up is not None:
        send_finished(node, outcome)
    return follow_up


def _try_to_end(node: NodeRef, lock: Callable[[], NodeRef | None], outcome: Outcome) -> FollowUp | None:
    try:
        with transaction.atomic(using=write_alias()):
            locked = lock()
            return None if locked is None else finish_attempt(locked, outcome, [NodeState.WAITING])
    except (NotPossible, RunNotFound) as exc:
        logger.info("node %s is not ended now: %s", node, exc)
        return None


def send_finished(node: NodeRef, outcome: Outcome) -> None:
    """Send ``node_finished``."""
    send(node_finished, run_id=node.run_id, node_id=node.id, label=node.label, state=outcome.state)


def send(signal: Signal, **values: Any) -> None:
    """Call the receivers of a signal; isolate the caller from their exceptions and open transactions."""
    if signal.has_listeners():
        with rolled_back_after("a receiver of a signal"):
            signal.send_robust(sender=None, **values)
