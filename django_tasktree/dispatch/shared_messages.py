"""Which queued nodes get a message, if short tasks share messages.

A message wakes up a worker process, which then takes more nodes of the same lane and sends the next message when its
time is over. So a wide fan-out needs only as many messages as can reach all worker processes; the rest of its nodes is
QUEUED without a message.
"""

import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, count, islice
from uuid import UUID

from celery import current_app

from django_tasktree.builder.chunks import chunk_size
from django_tasktree.dispatch import eager
from django_tasktree.dispatch.capacities import capacity_of, messages_for_all
from django_tasktree.engine.database_retries import retry_transient
from django_tasktree.engine.lifecycle.take import active_carriers, next_in_lane, waiting_lanes
from django_tasktree.engine.types import Dispatch, NodeRef, Taker

#: How many messages are sent for each process that seems to be idle while others work on the same lane.
_SPARE = 2
#: This many nodes of a lane always get a message each.
_ALWAYS_SENT = 2

_thread = threading.local()


@dataclass
class CurrentLane:
    """The lane of which this thread takes nodes.

    Attributes:
        taker: the process, the run and the lane.
        deadline: when it stops taking nodes, as a value of ``time.monotonic()``.
        may_take_child: whether it may go on with a child of the node that it runs: it has taken no other node.
        taken_child: the child that it has taken.
        run_has_ended: whether no node of the run is left.
        is_over: whether it takes no node any more that is queued from now on: such a node needs a message.
        sent: how many messages of the lane it has sent to wake up idle processes.
    """

    taker: Taker
    deadline: float
    may_take_child: bool = True
    taken_child: Dispatch | None = None
    run_has_ended: bool = False
    is_over: bool = False
    sent: int = 0

    def pop_child(self) -> list[Dispatch]:
        """Return the child that was taken, once."""
        taken, self.taken_child = self.taken_child, None
        return [] if taken is None else [taken]


@contextmanager
def taking(taker: Taker, deadline: float) -> Iterator[CurrentLane]:
    """Declare that this thread takes queued nodes of a lane after the block, and sends a message for what is left.

    Args:
        taker: the process, the run and the lane.
        deadline: when it stops, as a value of ``time.monotonic()``.
    """
    before = getattr(_thread, "lane", None)
    _thread.lane = current = CurrentLane(taker, deadline)
    try:
        yield current
    finally:
        _thread.lane = before


def lane_to_continue(node: NodeRef) -> CurrentLane | None:
    """Return the lane of which this thread takes nodes, if it may go on with a child of a node that it has run."""
    current: CurrentLane | None = getattr(_thread, "lane", None)
    if current is None or current.taker.run_id != node.run_id or time.monotonic() >= current.deadline:
        return None
    return current if current.may_take_child and current.taken_child is None else None


def own_message() -> UUID | None:
    """Return the task ID of the message in the course of which this thread takes nodes; None if it takes none."""
    current: CurrentLane | None = getattr(_thread, "lane", None)
    return None if current is None else current.taker.carried_by


def note_end(run_id: UUID) -> None:
    """Note that a run has ended, so that this thread need not look for more nodes of it."""
    current: CurrentLane | None = getattr(_thread, "lane", None)
    if current is not None and current.taker.run_id == run_id:
        # A receiver of run_finished may let nodes run again.
        current.run_has_ended = current.is_over = True


@contextmanager
def task_function() -> Iterator[None]:
    """Send the messages of nodes that the block queues, a task function, as it may take long or wait for them."""
    before, _thread.lane = getattr(_thread, "lane", None), None
    try:
        yield
    finally:
        _thread.lane = before


def with_message(dispatches: Iterable[Dispatch]) -> Iterator[Dispatch]:
    """Yield the nodes that get a message.

    Args:
        dispatches: nodes that were just queued, for their first attempt.
    """
    if eager.is_on(current_app):
        yield from dispatches
        return
    iterator = iter(dispatches)
    # Whether there are few nodes is only known at their end.
    first = list(islice(iterator, _ALWAYS_SENT + 1))
    if len(first) <= _ALWAYS_SENT:
        yield from _few(first)
        return
    lanes: dict[str, Iterator[bool]] = {}
    for dispatch in chain(first, iterator):
        if dispatch.lane and dispatch.lane not in lanes:
            lanes[dispatch.lane] = _turns(_wanted(dispatch), each_for(dispatch.task))
        if not dispatch.lane or next(lanes[dispatch.lane]):
            yield dispatch


def for_waiting_lanes(run_id: UUID) -> Iterator[Dispatch]:
    """Yield queued nodes to publish, as many as wake up all processes for each lane of a run.

    A message that arrives while no node of its lane may start leads to no other.

    Args:
        run_id: the run.
    """
    if eager.is_on(current_app):
        return
    for lane in waiting_lanes(run_id):
        # If no worker is known, each node had a message, which has either not arrived or made the node runnable.
        yield from next_in_lane(run_id, lane, messages_for_all(lane) or 1)


def _turns(wanted: int, each: int) -> Iterator[bool]:
    """Yield whether a node of a lane gets a message, for one node after the other: the first of each chunk, at most."""
    for number in count():
        yield number % each == 0 and number < wanted * each


def each_for(task_name: str) -> int:
    """Return how many nodes one message can run at once: one, unless the task has chunks."""
    return chunk_size(current_app.tasks.get(task_name))


def _few(dispatches: list[Dispatch]) -> Iterator[Dispatch]:
    """Leave the first node of the lane to this process if it takes nodes of the lane; wake others up for the rest."""
    own = [dispatch for dispatch in dispatches if _current_lane_of(dispatch) is not None]
    wanted = _wanted(own[1]) if len(own) > 1 else 0
    yield from own[1 : 1 + wanted]
    yield from (dispatch for dispatch in dispatches if dispatch not in own)


def _current_lane_of(dispatch: Dispatch) -> CurrentLane | None:
    current: CurrentLane | None = getattr(_thread, "lane", None)
    if current is None or current.is_over:
        return None
    return current if (current.taker.run_id, current.taker.lane) == (dispatch.run_id, dispatch.lane) else None


def _wanted(dispatch: Dispatch) -> int:
    """Return how many messages of a lane are useful at this moment."""
    current, capacity = _current_lane_of(dispatch), capacity_of(dispatch.lane)
    if current is None or capacity is None:
        wanted = messages_for_all(dispatch.lane)
        return sys.maxsize if wanted is None else wanted
    if current.sent >= _SPARE * (capacity - 1):
        # Enough for one message's time: the messages that were sent may still be on their way.
        return 0
    busy = retry_transient(lambda: active_carriers(dispatch.run_id, dispatch.lane))
    wanted = max(0, _SPARE * (capacity - busy))
    current.sent += wanted
    return wanted
