"""What follows when nodes have begun to wait, or their time or event has come."""

from collections.abc import Iterator, Sequence
from functools import partial
from uuid import UUID

from django_tasktree.dispatch.follow_up import FollowUp, end_from_waiting, send
from django_tasktree.dispatch.postponed import postponing
from django_tasktree.dispatch.waits import outcome_by_event, schedule_end
from django_tasktree.engine.control.waits import OpenWait, lock_wait, note_sent, open_waits, take_event
from django_tasktree.engine.database_retries import retry_transient
from django_tasktree.engine.types import NodeRef, Outcome
from django_tasktree.models import RunEvent
from django_tasktree.signals import node_waiting


def begin_waits(ids: Sequence[UUID]) -> Iterator[FollowUp]:
    """Process that nodes have begun to wait: end those whose time or event has come, and announce the others."""
    for wait in retry_transient(lambda: open_waits(ids)):
        ended = list(end_by_event_or_time(wait, retry_transient(partial(schedule_end, wait))))
        yield from ended
        if not ended and wait.spec.event:
            yield from _announce(wait)


def end_by_event_or_time(wait: OpenWait, timed_out: Outcome | None) -> Iterator[FollowUp]:
    """End a wait by its event, or else by its time; yield what follows.

    The event wins: it may have come in time although nobody has looked.

    Args:
        wait: the wait.
        timed_out: the outcome if its time has passed; None: it has not.
    """
    ended = list(end_by_event(wait)) if wait.spec.event else []
    if not ended and timed_out is not None:
        ended = list(end_wait(wait, timed_out))
    yield from ended


def end_by_event(wait: OpenWait) -> Iterator[FollowUp]:
    """End a wait by the first event that was sent for it; yield what follows."""
    found = retry_transient(partial(outcome_by_event, wait))
    if found is not None:
        event, outcome = found
        yield from end_wait(wait, outcome, event)


def end_wait(wait: OpenWait, outcome: Outcome, event: RunEvent | None = None) -> Iterator[FollowUp]:
    """End a wait, and yield what follows; nothing if it has ended, the event was taken or the run is CHANGING.

    The sweep ends it later if the run was CHANGING.
    """
    follow_up = end_from_waiting(wait.node, partial(_lock, wait, event), outcome)
    if follow_up is not None:
        yield follow_up


def _lock(wait: OpenWait, event: RunEvent | None) -> NodeRef | None:
    """Lock the node of a wait, and take the event that ends it; return None if either is not possible any more."""
    node = lock_wait(wait.node)
    return None if node is None or (event is not None and not take_event(event, node.id)) else node


def _announce(wait: OpenWait) -> Iterator[FollowUp]:
    """Send ``node_waiting`` if it was not sent. That is stored afterwards, so that no crash loses it."""
    if wait.sent == 0:
        yield from _send_waiting(wait, 0)
        retry_transient(lambda: note_sent(wait, 1))


def remind(wait: OpenWait, number: int) -> Iterator[FollowUp]:
    """Send ``node_waiting`` as a reminder, unless the wait has ended or another process does it; yield what follows.

    Args:
        wait: the wait.
        number: the number of the reminder, from 1.
    """
    if retry_transient(lambda: note_sent(wait, number + 1)):
        yield from _send_waiting(wait, number)


def _send_waiting(wait: OpenWait, reminder: int) -> Iterator[FollowUp]:
    with postponing(wait.node.run_id) as postponed:
        send(node_waiting, run_id=wait.node.run_id, node_id=wait.node.id, label=wait.node.label, reminder=reminder)
    for follow_ups in postponed:
        yield from follow_ups
