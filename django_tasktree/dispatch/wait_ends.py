"""End waits, announce them and send reminders, outside any transaction: for the sweep, timers and events."""

from collections.abc import Collection, Sequence
from uuid import UUID

from django_tasktree.dispatch.after_commit import process_all
from django_tasktree.dispatch.wait_steps import (
    begin_waits,
    end_by_event,
    end_by_time_together,
    end_wait,
    remind,
)
from django_tasktree.dispatch.waits import timed_out
from django_tasktree.encoding import times
from django_tasktree.engine.control.waits import OpenWait, due_in, first_open_wait, is_due, names_to_take
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
    """End a wait whose time has passed, by an event that was sent, or else by its time.

    Returns:
        False if its time has not passed, an event or something else has ended it, or the run is CHANGING.
    """
    if not is_due(wait, times.now()):
        return False
    by_event = list(end_by_event(wait)) if wait.spec.event else []
    by_time = [] if by_event else list(end_wait(wait, timed_out(wait)))
    process_all(wait.node.run_id, by_event or by_time)
    return bool(by_time)


def end_due_waits_now(run_id: UUID, waits: Collection[OpenWait]) -> int:
    """End waits of a run whose time has passed and for which no event was sent.

    Returns:
        How many have ended.
    """
    ended = end_by_time_together(run_id, waits)
    process_all(run_id, ended)
    return len(ended)


def end_missed_waits_now(run_id: UUID) -> None:
    """End the waits of a run whose event or time has come while the run was CHANGING."""
    for name in retry_transient(lambda: names_to_take(run_id)):
        end_waits_by_event_now(run_id, name)
    while waits := retry_transient(lambda: due_in(run_id)):
        if not end_due_waits_now(run_id, waits):
            # The run is CHANGING again, or another process has ended them.
            break


def remind_now(wait: OpenWait, number: int) -> None:
    """Send ``node_waiting`` as a reminder; see :func:`django_tasktree.dispatch.wait_steps.remind`."""
    process_all(wait.node.run_id, remind(wait, number))
