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
from typing import Any
from uuid import UUID

from celery import current_app

from django_tasktree.builder.chunks import MARK, chunk_size
from django_tasktree.dispatch import eager
from django_tasktree.engine.backends import database_now
from django_tasktree.engine.database_retries import retry_transient
from django_tasktree.engine.heartbeats import recently_seen
from django_tasktree.engine.lifecycle.take import active_carriers, next_in_lane, waiting_lanes
from django_tasktree.engine.types import Dispatch, NodeRef, Taker

#: For how many seconds a process remembers how many processes the workers have.
_REMEMBER = 5.0
#: How many messages are sent for each process that seems to be idle while others work on the same lane.
_SPARE = 2
#: This many nodes of a lane always get a message each.
_FEW = 2

_thread = threading.local()
_lock = threading.Lock()
_capacities: tuple[float, dict[str, int]] = (0.0, {})


@dataclass
class Here:
    """The lane of which this thread takes nodes.

    Attributes:
        taker: the process, the run and the lane.
        deadline: when it stops taking nodes, as a value of ``time.monotonic()``.
        goes_on: whether the node that it runs is the only one that it has taken, so that it may go on with a child.
        taken: the child that it has taken.
        run_has_ended: whether no node of the run is left.
        is_over: whether it takes no node any more that is queued from now on: such a node needs a message.
        sent: how many messages of the lane it has sent to wake up idle processes.
    """

    taker: Taker
    deadline: float
    goes_on: bool = True
    taken: Dispatch | None = None
    run_has_ended: bool = False
    is_over: bool = False
    sent: int = 0

    def pop(self) -> list[Dispatch]:
        """Return the child that was taken, once."""
        taken, self.taken = self.taken, None
        return [] if taken is None else [taken]


@contextmanager
def taking(taker: Taker, deadline: float) -> Iterator[Here]:
    """Declare that this thread takes queued nodes of a lane after the block, and sends a message for what is left.

    Args:
        taker: the process, the run and the lane.
        deadline: when it stops, as a value of ``time.monotonic()``.
    """
    before = getattr(_thread, "here", None)
    _thread.here = here = Here(taker, deadline)
    try:
        yield here
    finally:
        _thread.here = before


def here_after(node: NodeRef) -> Here | None:
    """Return what this thread takes, if it may go on with a child of a node that it has run."""
    here: Here | None = getattr(_thread, "here", None)
    if here is None or here.taker.run_id != node.run_id or not here.goes_on or here.taken is not None:
        return None
    return here if time.monotonic() < here.deadline else None


def note_end(run_id: UUID) -> None:
    """Note that a run has ended, so that this thread need not look for more nodes of it."""
    here: Here | None = getattr(_thread, "here", None)
    if here is not None and here.taker.run_id == run_id:
        # A receiver of run_finished may let nodes run again.
        here.run_has_ended = here.is_over = True


@contextmanager
def task_function() -> Iterator[None]:
    """Send the messages of nodes that the block queues, a task function, as it may take long or wait for them."""
    before, _thread.here = getattr(_thread, "here", None), None
    try:
        yield
    finally:
        _thread.here = before


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
    first = list(islice(iterator, _FEW + 1))
    if len(first) <= _FEW:
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
    here = [dispatch for dispatch in dispatches if _here(dispatch) is not None]
    wanted = _wanted(here[1]) if len(here) > 1 else 0
    yield from here[1 : 1 + wanted]
    yield from (dispatch for dispatch in dispatches if dispatch not in here)


def _here(dispatch: Dispatch) -> Here | None:
    here: Here | None = getattr(_thread, "here", None)
    if here is None or here.is_over or (here.taker.run_id, here.taker.lane) != (dispatch.run_id, dispatch.lane):
        return None
    return here


def _wanted(dispatch: Dispatch) -> int:
    """Return how many messages of a lane are useful at this moment."""
    here, capacity = _here(dispatch), capacity_of(dispatch.lane)
    if here is None or capacity is None:
        wanted = messages_for_all(dispatch.lane)
        return sys.maxsize if wanted is None else wanted
    if here.sent >= _SPARE * (capacity - 1):
        # Enough for one message's time: the messages that were sent may still be on their way.
        return 0
    busy = retry_transient(lambda: active_carriers(dispatch.run_id, dispatch.lane))
    wanted = max(0, _SPARE * (capacity - busy))
    here.sent += wanted
    return wanted


def messages_for_all(lane: str) -> int | None:
    """Return how many messages reach all worker processes that consume the queue of a lane.

    A worker fetches several messages for each of its processes in advance, which another worker does not get.

    Returns:
        None if no number of messages is certain to reach them: each node gets one.
    """
    app: Any = current_app
    capacity = capacity_of(lane)
    return None if capacity is None else capacity * (1 + int(app.conf.worker_prefetch_multiplier))


def capacity_of(lane: str) -> int | None:
    """Return how many worker processes consume the queue of a lane.

    Returns:
        None if no worker is known, or if workers fetch messages without a limit.
    """
    app: Any = current_app
    if not app.conf.worker_prefetch_multiplier:
        return None
    return _known().get(queue_of(lane))


def queue_of(lane: str) -> str:
    """Return the name of the queue of a lane."""
    return lane.split(MARK)[0]


def _known() -> dict[str, int]:
    global _capacities
    with _lock:
        until, known = _capacities
    if time.monotonic() < until:
        return known
    known = retry_transient(_read)
    with _lock:
        _capacities = (time.monotonic() + _REMEMBER, known)
    return known


def _read() -> dict[str, int]:
    found: dict[str, int] = {}
    for queues, concurrency in recently_seen(database_now()).values_list("queues", "concurrency"):
        for queue in queues:
            found[queue] = found.get(queue, 0) + (concurrency or 1)
    return found


def forget_workers() -> None:
    """Forget how many processes the workers have."""
    global _capacities
    with _lock:
        _capacities = (0.0, {})
