"""take: a worker process claims queued nodes of a lane that have no message, or whose message has not come yet.

A message is a wake-up call. The process that handles one goes on with other nodes of the lane for a short time. Then it
sends the next message for those that are left.
"""

from collections.abc import Collection
from uuid import UUID

from django.db.models import F, Q

from django_tasktree.encoding import times
from django_tasktree.engine.backends import backend
from django_tasktree.engine.database_retries import retry_transient, retry_transient_flagged
from django_tasktree.engine.transitions import move, nodes
from django_tasktree.engine.types import DISPATCH_COLUMNS, Dispatch, NodeRef, Taker
from django_tasktree.models.querysets import NodeRunQuerySet
from django_tasktree.states import ACTIVE, RUN_FINAL, Hold, NodeState

#: Sorts before all IDs.
FROM_THE_FIRST = UUID(int=0)


def take(taker: Taker, most: int, after: UUID = FROM_THE_FIRST) -> list[Dispatch]:
    """Claim queued nodes of a lane that may start now. Transient database errors are retried.

    Nodes that another transaction has locked are left out.

    Args:
        taker: who takes them.
        most: the maximum number of nodes.
        after: only take nodes with a higher ID. The index still contains the nodes before it, which have ended.

    Returns:
        The nodes, in the order in which they were made.
    """
    now = times.now()

    def attempt(again: bool) -> list[Dispatch]:
        # An earlier try may have committed although its reply was lost.
        return (backend().taken_at(taker, now) if again else []) or backend().take(taker, most, after, now)

    return retry_transient_flagged(attempt)


def give_back(taken: Collection[Dispatch], *, leave_lane: bool = False) -> list[Dispatch]:
    """Queue nodes again that were taken and have not run. Transient database errors are retried.

    Args:
        taken: the nodes, as they were taken.
        leave_lane: whether they need a message of their own from now on, because this process can't run them.

    Returns:
        Those that are queued now; the others were revoked or requeued in the meantime.
    """
    ids = {dispatch.id: dispatch for dispatch in taken}
    lane = {"lane": ""} if leave_lane else {}

    def attempt() -> None:
        move(
            nodes().filter(id__in=ids, task_id__in=[dispatch.task_id for dispatch in taken]),
            [NodeState.STARTED],
            NodeState.QUEUED,
            attempts=F("attempts") - 1,
            queued_at=times.now(),
            started_at=None,
            worker="",
            worker_id=None,
            carried_by=None,
            **lane,
        )

    retry_transient(attempt)
    queued = retry_transient(
        lambda: list(nodes().filter(id__in=ids, state=NodeState.QUEUED).values_list("id", "task_id"))
    )
    return [ids[key] for key, task_id in queued if ids[key].task_id == task_id]


def next_in_lane(run_id: UUID, lane: str, most: int = 1) -> list[Dispatch]:
    """Return queued nodes of a lane for which messages are to be sent, and note that they are sent now.

    Args:
        run_id: the run.
        lane: the lane.
        most: the maximum number of nodes.
    """

    def attempt() -> list[Dispatch]:
        waiting = in_lane(run_id, lane).order_by("limit_scope_id", "lane", "id")
        found = [Dispatch.of_columns(columns) for columns in waiting.values_list(*DISPATCH_COLUMNS)[:most]]
        if found:
            in_lane(run_id, lane).filter(id__in=[dispatch.id for dispatch in found]).update(queued_at=times.now())
        return found

    return retry_transient(attempt)


def waiting_lanes(run_id: UUID) -> list[str]:
    """Return the lanes of the queued nodes of a run that a worker process may take."""
    waiting = nodes().filter(run_id=run_id, state=NodeState.QUEUED, runnable=False, limit_scope_id__isnull=True)
    found = waiting.exclude(lane="").order_by().values_list("lane", flat=True).distinct()
    return retry_transient(lambda: list(found.all()))


def in_lane(run_id: UUID, lane: str) -> NodeRunQuerySet:
    """Return the queued nodes of a lane that a worker process may take."""
    return nodes().filter(run_id=run_id, state=NodeState.QUEUED, runnable=False, limit_scope_id__isnull=True, lane=lane)


def active_carriers(run_id: UUID, lane: str) -> int:
    """Count the messages of a lane that are being handled: each of them takes or leads to further nodes."""
    started = nodes().filter(run_id=run_id, state=NodeState.STARTED, lane=lane)
    return len({carried_by or task_id for carried_by, task_id in started.values_list("carried_by", "task_id")[:1000]})


def carried_nodes(carrier: NodeRef, worker_id: UUID | None) -> list[Dispatch]:
    """Return the started nodes that the process of a message has taken.

    Args:
        carrier: the attempt that the message names.
        worker_id: the worker that received the message; another one may have received it too. None if it has no ID.
    """
    return [Dispatch.of_columns(columns) for columns in _carried(carrier, worker_id).values_list(*DISPATCH_COLUMNS)]


def _carried(carrier: NodeRef, worker_id: UUID | None) -> NodeRunQuerySet:
    carried = nodes().filter(run_id=carrier.run_id, state=NodeState.STARTED, carried_by=carrier.task_id)
    return carried if worker_id is None else carried.filter(worker_id=worker_id)


def is_at_its_node(carrier: NodeRef, worker_id: UUID | None, *, has_chunks: bool) -> bool:
    """Return whether the process of a message has not ended the node of the message.

    Otherwise the node has ended, the process of another message has taken it, or this process has gone on with other
    nodes: then another process runs the node, if it is STARTED.

    Args:
        carrier: the attempt that the message names.
        worker_id: see :func:`carried_nodes`.
        has_chunks: whether the process runs its node together with those that it has taken.
    """
    own = nodes().filter(id=carrier.id, task_id=carrier.task_id, state__in=ACTIVE, carried_by__isnull=True)
    if worker_id is not None:
        own = own.filter(Q(worker_id=worker_id) | ~Q(state=NodeState.STARTED))
    return own.exists() and (has_chunks or not _carried(carrier, worker_id).exists())


def is_revoked(node_id: UUID) -> bool:
    """Return whether a node is in a run that has ended, or in a subtree that was revoked."""
    return nodes().filter(Q(hold=Hold.REVOKED) | Q(run__state__in=RUN_FINAL), id=node_id).exists()
