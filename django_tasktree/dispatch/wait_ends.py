"""End waits, announce them and send reminders, outside any transaction: for the sweep, timers and events."""

from collections.abc import Sequence
from uuid import UUID

from django_tasktree.dispatch.after_commit import process_all
from django_tasktree.dispatch.wait_steps import announce, begin_waits, end_by_event, end_wait
from django_tasktree.dispatch.waits import timed_out
from django_tasktree.encoding import times
from django_tasktree.engine.control.waits import OpenWait, first_open_wait, is_due
from django_tasktree.engine.database_retries import retry_transient
from django_tasktree.engine.types import NodeRef


def begin_waits_now(run_id: UUID, ids: Sequence[UUID]) -> None:
    """Process that nodes of a run have begun to wait, if a crash has kept that from being done."""
    process_all(run_id, begin_waits(ids))


def end_waits_by_event_now(run_id: UUID, event: str) -> int:
    """End the nodes of a run that wait for an event, each by one of the events that were sent.

    Returns:
        How many nodes have ended.
    """
    number = 0
    previous: NodeRef | None = None
    while (wait := retry_transient(lambda: first_open_wait(run_id, event))) is not None:
        ended = list(end_by_event(wait))
        if not ended and wait.node == previous:
            # No event is left. Before, another process may have ended the node or taken the event in the meantime.
            break
        previous = None if ended else wait.node
        number += len(ended)
        process_all(run_id, ended)
    return number


def end_wait_if_due_now(wait: OpenWait) -> bool:
    """End a wait whose time has passed.

    Returns:
        False if its time has not passed, it has ended already, or the run is CHANGING.
    """
    ended = list(end_wait(wait, timed_out(wait))) if is_due(wait, times.now()) else []
    process_all(wait.node.run_id, ended)
    return bool(ended)


def remind_now(wait: OpenWait) -> None:
    """Send ``node_waiting`` once more. Call it outside any transaction."""
    announce(wait)
