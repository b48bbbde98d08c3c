"""What follows when nodes have begun to wait, or their time or event has come."""

from collections.abc import Iterator, Sequence
from functools import partial
from uuid import UUID

from django_tasktree.dispatch.follow_up import FollowUp, end_from_waiting, send
from django_tasktree.dispatch.waits import outcome_by_event, schedule_end
from django_tasktree.engine.control.waits import OpenWait, lock_wait, note_sent, open_waits, take_event
from django_tasktree.engine.database_retries import retry_transient
from django_tasktree.engine.types import NodeRef, Outcome
from django_tasktree.models import RunEvent
from django_tasktree.signals import node_waiting


def begin_waits(ids: Sequence[UUID]) -> Iterator[FollowUp]:
    """Process that nodes have begun to wait: end those whose time or event has come, and announce the others."""
    for wait in retry_transient(lambda: open_waits(ids)):
        outcome = retry_transient(partial(schedule_end, wait))
        if outcome is not None:
            yield from end_wait(wait, outcome)
        elif wait.spec.event:
            ended = list(end_by_event(wait))
            yield from ended
            if not ended:
                announce(wait)


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


def announce(wait: OpenWait) -> None:
    """Send ``node_waiting``. It is counted after it was sent the first time, so that no crash loses it."""
    values = {"run_id": wait.node.run_id, "node_id": wait.node.id, "label": wait.node.label}
    if wait.sent == 0:
        send(node_waiting, **values, reminder=0)
        retry_transient(lambda: note_sent(wait))
    elif retry_transient(lambda: note_sent(wait)):
        send(node_waiting, **values, reminder=wait.sent)
