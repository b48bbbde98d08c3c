"""What follows when nodes have begun to wait, or their time or event has come."""

import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from uuid import UUID

from django.db import transaction

from django_tasktree.dispatch.follow_up import FollowUp, end_from_waiting, finish_attempt, send, send_finished
from django_tasktree.dispatch.postponed import postponing
from django_tasktree.dispatch.waits import outcome_by_event, schedule_end, timed_out
from django_tasktree.engine.control.waits import (
    OpenWait,
    lock_wait,
    lock_waits,
    note_attempt,
    note_sent,
    open_waits,
    sent_for,
    store_dues,
    take_event,
)
from django_tasktree.engine.database_retries import retry_transient
from django_tasktree.engine.transitions import write_alias
from django_tasktree.engine.types import NodeRef, Outcome
from django_tasktree.exceptions import NotPossible, RunNotFound, StaleAttempt
from django_tasktree.models import RunEvent
from django_tasktree.signals import node_waiting
from django_tasktree.states import NodeState

logger = logging.getLogger(__name__)


def begin_waits(ids: Sequence[UUID]) -> Iterator[FollowUp]:
    """Process that nodes have begun to wait: end those whose time or event has come, and announce the others."""
    waits = retry_transient(lambda: open_waits(ids))
    retry_transient(lambda: store_dues(waits))
    wanted = {(wait.node.run_id, wait.spec.event) for wait in waits if wait.spec.event}
    # An event that is sent from now on ends its node by itself.
    sent = set(retry_transient(lambda: sent_for(wanted)))
    for wait in waits:
        outcome = schedule_end(wait)
        # An event wins over the time: it may have come in time although nobody has looked.
        ended = list(end_by_event(wait)) if (wait.node.run_id, wait.spec.event) in sent else []
        if not ended and outcome is not None:
            ended = list(end_wait(wait, outcome))
        yield from ended
        if not ended and wait.spec.event:
            yield from _announce(wait)


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


def end_by_time_together(run_id: UUID, waits: Collection[OpenWait]) -> list[FollowUp]:
    """End waits of one run whose time has passed, in one transaction; return what follows for each that has ended.

    If the run is CHANGING, the sweep ends them later.
    """
    outcomes = {wait.node.id: timed_out(wait) for wait in waits}
    ended = retry_transient(lambda: _try_to_end_together(run_id, [wait.node for wait in waits], outcomes))
    for node, _ in ended:
        send_finished(node, outcomes[node.id])
    return [follow_up for _, follow_up in ended]


def _try_to_end_together(
    run_id: UUID, waits: list[NodeRef], outcomes: Mapping[UUID, Outcome]
) -> list[tuple[NodeRef, FollowUp]]:
    ended: list[tuple[NodeRef, FollowUp]] = []
    try:
        with transaction.atomic(using=write_alias()):
            for node in lock_waits(run_id, waits):
                # The failure of one may have stopped another one.
                with suppress(StaleAttempt):
                    ended.append((node, finish_attempt(node, outcomes[node.id], [NodeState.WAITING])))
            note_attempt(*(node.id for node, _ in ended))
    except (NotPossible, RunNotFound) as exc:
        logger.info("%d waits of run %s are not ended now: %s", len(waits), run_id, exc)
        return []
    return ended


def _lock(wait: OpenWait, event: RunEvent | None) -> NodeRef | None:
    """Lock the node of a wait, and take the event that ends it; return None if either is not possible any more."""
    node = lock_wait(wait.node)
    if node is None or (event is not None and not take_event(event, node.id)):
        return None
    note_attempt(node.id)
    return node


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
        node, spec = wait.node, wait.spec
        send(
            node_waiting,
            run_id=node.run_id,
            node_id=node.id,
            label=node.label,
            title=spec.heading(node.label or spec.event),
            description=spec.description,
            reminder=reminder,
        )
    for follow_ups in postponed:
        yield from follow_ups
