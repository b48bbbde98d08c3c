"""After a verb's commit: publish what it queued, then settle; and so on until nothing is left to do here."""

import logging
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import Any
from uuid import UUID

from django.db import transaction
from django.dispatch import Signal

from django_tasktree.engine.advance import advance
from django_tasktree.engine.finish import finish
from django_tasktree.engine.moves import write_alias
from django_tasktree.engine.settle import half_settled, settle
from django_tasktree.engine.specs import Dispatch, Launched, NodeRef, Outcome
from django_tasktree.engine.transient import persist, persist_knowing
from django_tasktree.exceptions import Fenced
from django_tasktree.failures import describe
from django_tasktree.signals import node_finished, run_finished, run_started
from django_tasktree.states import NodeState, RunState
from django_tasktree.worker.message import ref_of
from django_tasktree.worker.open_transactions import rolled_back_after
from django_tasktree.worker.publisher import publish

logger = logging.getLogger(__name__)


@dataclass
class _Work:
    """Nodes to publish; where there are none, where to settle from.

    Attributes:
        dispatches: the nodes.
        advances: whether ready nodes of the run are to be queued as well.
        limiter: under whose limit a place has become free.
        settles: whether to settle if there was nothing to publish.
        settle_from: the lowest node that may be settled; None starts at the run.
        half_settled: whether nodes anywhere in the run may be, because some in the middle were revoked.
        ended: the run's final state, where it is to be announced.
    """

    dispatches: Iterable[Dispatch] = ()
    advances: bool = False
    limiter: UUID | None = None
    settles: bool = False
    settle_from: UUID | None = None
    half_settled: bool = False
    ended: RunState | None = None


def conclude(node: NodeRef, outcome: Outcome, sources: Iterable[NodeState] = (NodeState.STARTED,)) -> None:
    """Finish an attempt, and after commit do all that follows from it.

    Args:
        node: the attempt.
        outcome: how it ended.
        sources: see :func:`django_tasktree.engine.finish.finish`.

    Raises:
        Fenced: the attempt is void.
    """
    work = _finished(node, outcome, sources)
    transaction.on_commit(partial(_concluded, node, outcome, work), using=write_alias())


def publish_after_commit(run_id: UUID, dispatches: Iterable[Dispatch]) -> None:
    """Publish queued nodes once the transaction, if there is one, has committed."""
    _after_commit(run_id, _Work(dispatches))


def launched_after_commit(launched: Launched) -> None:
    """Publish the root nodes of a new run, and tell that it has started."""
    if not launched.created:
        return
    work = _Work(launched.dispatches, advances=launched.ready, ended=launched.ended)
    transaction.on_commit(partial(_launched, launched.run_id, work), using=write_alias())


def steered_after_commit(run_id: UUID, *, started: bool = False, ended: RunState | None = None) -> None:
    """After a run was steered: queue what is ready, settle what can be, tell if it has started or ended.

    Args:
        run_id: the run.
        started: whether it was a draft.
        ended: its final state, where it was given one.
    """
    work = _Work(advances=True, half_settled=True, ended=ended)
    transaction.on_commit(partial(_launched if started else _carry_on, run_id, work), using=write_alias())


def publish_now(run_id: UUID, dispatches: Iterable[Dispatch]) -> None:
    """Publish queued nodes, outside of any transaction."""
    _carry_on(run_id, _Work(dispatches))


def settle_now(run_id: UUID, node_id: UUID | None) -> None:
    """Settle from a node, or from the run, and do what follows; outside of any transaction."""
    _carry_on(run_id, _Work(settles=True, settle_from=node_id))


def carry_on_now(run_id: UUID) -> None:
    """Queue what is ready anywhere in a run, and settle what can be; outside of any transaction."""
    _carry_on(run_id, _Work(advances=True, half_settled=True))


def advance_now(run_id: UUID) -> int:
    """Queue what is ready in a run, as far as its limits go, and do what follows; outside of any transaction.

    Returns:
        How many nodes were queued.
    """
    numbers = count()
    _carry_on(run_id, _Work(dispatch for dispatch, _ in zip(advance(run_id), numbers, strict=False)))
    return next(numbers)


def _finished(node: NodeRef, outcome: Outcome, sources: Iterable[NodeState]) -> _Work:
    released = finish(node, outcome, sources)
    return _Work(
        released.dispatches,
        # A place has become free, or something waits for one.
        advances=released.ready or node.limiter is not None,
        limiter=None if released.ready else node.limiter,
        settles=True,
        settle_from=node.parent_id if released.settled else node.id,
        half_settled=released.stopped,
        ended=released.ended,
    )


def _after_commit(run_id: UUID, work: _Work) -> None:
    transaction.on_commit(partial(_carry_on, run_id, work), using=write_alias())


def _concluded(node: NodeRef, outcome: Outcome, work: _Work) -> None:
    _send(node_finished, run_id=node.run_id, node_id=node.id, state=outcome.state)
    _carry_on(node.run_id, work)


def _launched(run_id: UUID, work: _Work) -> None:
    _send(run_started, run_id=run_id)
    _carry_on(run_id, work)


def _carry_on(run_id: UUID, work: _Work) -> None:
    queue = deque([work])
    while queue:
        work = queue.popleft()
        report = publish(work.dispatches)
        queue.extend(_fail(dispatch, error) for dispatch, error in report.refused)
        if work.settles and report.seen == 0:
            queue.extend(_settled(run_id, work.settle_from))
        if work.half_settled:
            for node_id in persist(lambda: half_settled(run_id)):
                queue.extend(_settled(run_id, node_id))
            queue.extend(_settled(run_id, None))
        if work.advances:
            queue.append(_Work(advance(run_id, work.limiter)))
        if work.ended is not None:
            _announce(run_id, work.ended)


def _settled(run_id: UUID, node_id: UUID | None) -> Iterator[_Work]:
    settled = persist_knowing(lambda again: settle(run_id, node_id, again=again))
    if settled.dispatches or settled.ready or settled.ended is not None:
        yield _Work(settled.dispatches, advances=settled.ready, ended=settled.ended)


def _fail(dispatch: Dispatch, error: Exception) -> _Work:
    """A node whose message can't be made has failed."""
    try:
        return _finished(ref_of(dispatch), Outcome(NodeState.FAILURE, error=describe(error)), [NodeState.QUEUED])
    except Fenced:
        logger.info("node %s has moved on: its unsendable message no longer matters", dispatch.id)
        return _Work()


def _announce(run_id: UUID, ended: RunState) -> None:
    _send(run_finished, run_id=run_id, state=ended)


def _send(signal: Signal, **values: Any) -> None:
    """Call the receivers of a signal; nothing that they raise or leave open reaches what follows."""
    if signal.has_listeners():
        with rolled_back_after("a receiver of a signal"):
            signal.send_robust(sender=None, **values)
