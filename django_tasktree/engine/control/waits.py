"""Wait nodes: those that wait now, the events that were sent for them, and the end of a wait."""

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import F

from django_tasktree.conf import settings
from django_tasktree.encoding import times
from django_tasktree.encoding.text import storable
from django_tasktree.encoding.wait_spec import WaitSpec
from django_tasktree.engine.control.reset import lock_node, lock_run
from django_tasktree.engine.transitions import nodes, write_alias
from django_tasktree.engine.types import NodeRef
from django_tasktree.models import NodeRun, RunEvent
from django_tasktree.models.querysets import NodeRunQuerySet
from django_tasktree.states import NodeState

#: Precedes the name of the event in the column ``lane`` of a wait node, by which an index finds the node. The lane of a
#: task begins with the name of a queue, which does not contain it.
_MARK = "|"


@dataclass(frozen=True, slots=True)
class OpenWait:
    """A node that waits.

    Attributes:
        node: the node, with the task ID of this wait.
        spec: what it waits for.
        since: when it began to wait.
        due: when its time has passed, once that is stored; None: no limit.
        sent: how often the signal ``node_waiting`` was due when it was sent for the last time; 0: it was not sent.
    """

    node: NodeRef
    spec: WaitSpec
    since: datetime
    due: datetime | None
    sent: int


def lane_of_event(name: str) -> str:
    """Return the value of the column ``lane`` of the nodes that wait for an event."""
    return _MARK + name


def event_of_lane(lane: str) -> str:
    """Return the name of the event for which the nodes of a lane wait; see :func:`lane_of_event`."""
    return lane.removeprefix(_MARK)


def open_waits(ids: Collection[UUID]) -> list[OpenWait]:
    """Return those of some nodes that wait, in the order of their IDs."""
    return _read(nodes().filter(id__in=ids, state=NodeState.WAITING).order_by("id"))


def first_open_wait(run_id: UUID, event: str) -> OpenWait | None:
    """Return the first node of a run that waits for an event."""
    return next(iter(_read(_for_event(run_id, event).filter(state=NodeState.WAITING)[:1])), None)


def first_unfinished(run_id: UUID, event: str) -> WaitSpec | None:
    """Return what the first node waits for that takes an event, now or when it is reached; None without such a node."""
    state = [NodeState.WAITING, NodeState.PENDING]
    # WAITING sorts last.
    some = _for_event(run_id, event).filter(state__in=state).order_by("-state", "id")
    text = some.values_list("wait", flat=True).first()
    return None if text is None else WaitSpec.read(text)


def names_awaited(run_id: UUID, most: int) -> list[str]:
    """Return the names of the events for which nodes of a run wait, or will wait when they are reached, in order.

    Args:
        run_id: the run.
        most: the maximum number of names.
    """
    waits = nodes().filter(run_id=run_id, wait__isnull=False, state__in=[NodeState.WAITING, NodeState.PENDING])
    lanes = waits.filter(lane__startswith=_MARK).order_by("lane").values_list("lane", flat=True).distinct()
    return [event_of_lane(lane) for lane in lanes[:most]]


def names_to_take(run_id: UUID) -> list[str]:
    """Return the names of the events of a run that no node has taken."""
    sent: Any = RunEvent.objects.using(write_alias()).filter(run_id=run_id, taken_at=None, refusal="")
    return list(sent.order_by().values_list("name", flat=True).distinct())


def due_in(run_id: UUID) -> list[OpenWait]:
    """Return the waits of a run whose time has passed, at most ``BATCH_SIZE``."""
    due = nodes().filter(run_id=run_id, state=NodeState.WAITING, wait__isnull=False, eta__lte=times.now())
    return _read(due.order_by("eta", "id")[: settings.batch_size])


def _for_event(run_id: UUID, event: str) -> NodeRunQuerySet:
    # A wait node never counts towards a limit. All columns of the index are given.
    waits = nodes().filter(run_id=run_id, limit_scope_id__isnull=True, lane=lane_of_event(event))
    return waits.filter(wait__isnull=False).order_by("id")


def _read(rows: Iterable[NodeRun]) -> list[OpenWait]:
    return [
        OpenWait(NodeRef.of(row), WaitSpec.read(row.wait), row.queued_at or times.now(), row.eta, row.resend_count)
        for row in rows
        if row.wait is not None
    ]


def store_dues(waits: Iterable[OpenWait]) -> None:
    """Store when the time of each wait has passed, unless that was stored before, in one statement for each time."""
    by_time: dict[datetime, list[UUID]] = defaultdict(list)
    for wait in waits:
        due = wait.spec.due(wait.since)
        if due is not None and wait.due is None:
            by_time[due].append(wait.node.task_id)
    for due, attempts in by_time.items():
        nodes().filter(task_id__in=attempts, state=NodeState.WAITING, eta=None).update(eta=due)


def sent_for(wanted: set[tuple[UUID, str]]) -> list[tuple[UUID, str]]:
    """Return those of some runs and names of events for which there is an event that no node has taken."""
    if not wanted:
        return []
    sent: Any = RunEvent.objects.using(write_alias()).filter(run_id__in={run_id for run_id, _ in wanted})
    pending = sent.filter(name__in={name for _, name in wanted}, taken_at=None, refusal="")
    return [pair for pair in pending.order_by().values_list("run_id", "name").distinct() if pair in wanted]


def note_sent(wait: OpenWait, number: int) -> bool:
    """Store that the signal ``node_waiting`` is sent.

    Args:
        wait: the wait.
        number: how often it was due, with this time.

    Returns:
        False if the node does not wait any more, or another process sends this signal.
    """
    return _still(wait.node).filter(resend_count=wait.sent).update(resend_count=number) == 1


def is_due(wait: OpenWait, now: datetime) -> bool:
    """Return whether the time of a wait has passed."""
    return wait.due is not None and times.instant(wait.due) <= times.instant(now)


def lock_wait(node: NodeRef) -> NodeRef | None:
    """Lock a run and the node that waits, in the caller's transaction, which then finishes the node from WAITING.

    The caller also calls :func:`note_attempt`.

    Returns:
        The node as it is now; None if it does not wait any more.

    Raises:
        RunNotFound: if the run does not exist any more.
        NotPossible: if the run is CHANGING.
    """
    return lock_node(node.run_id, _still(node))


def lock_waits(run_id: UUID, waits: Collection[NodeRef]) -> list[NodeRef]:
    """Lock a run and some of its nodes that wait, in the caller's transaction, which then finishes them.

    The caller also calls :func:`note_attempt` for those that it has finished.

    Returns:
        The nodes as they are now, in the order of their IDs; without those that do not wait any more.

    Raises:
        RunNotFound, NotPossible: see :func:`lock_wait`.
    """
    lock_run(run_id)
    attempts = {node.id: node.task_id for node in waits}
    waiting = nodes().filter(id__in=attempts, state=NodeState.WAITING).select_for_update().order_by("id")
    return [NodeRef.of(row) for row in waiting if row.task_id == attempts[row.id]]


def note_attempt(*ids: UUID) -> None:
    """Count the waits of nodes as attempts that have taken as long as the nodes have waited; their outcomes follow."""
    nodes().filter(id__in=ids).update(started_at=F("queued_at"), attempts=F("attempts") + 1)


def _still(node: NodeRef) -> NodeRunQuerySet:
    return nodes().filter(id=node.id, task_id=node.task_id, state=NodeState.WAITING)


def events_to_take(run_id: UUID, name: str) -> Any:
    """Return the events of a name that no node has taken, the oldest first."""
    sent = RunEvent.objects.using(write_alias()).filter(run_id=run_id, name=name, taken_at=None, refusal="")
    return sent.order_by("id")


def take_event(event: RunEvent, node_id: UUID) -> bool:
    """Take an event for a node, in the transaction that ends the node.

    Returns:
        False if another node has taken it.
    """
    mine = RunEvent.objects.using(write_alias()).filter(id=event.pk, taken_at=None)
    return mine.update(taken_at=times.now(), taken_by=node_id) == 1


def refuse_event(event: RunEvent, reason: str) -> None:
    """Store why the payload of an event was refused: it ends no node."""
    RunEvent.objects.using(write_alias()).filter(id=event.pk, taken_at=None).update(refusal=storable(reason))
