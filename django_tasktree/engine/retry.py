"""Begin another attempt at a started node: the task asked for it, or the attempt was lost or handed back."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import F, Subquery
from django.db.models.functions import Coalesce

from django_tasktree import times
from django_tasktree.engine.finish import error_values
from django_tasktree.engine.moves import move, nodes, write_alias
from django_tasktree.engine.specs import DISPATCH_COLUMNS, Dispatch, NodeError, NodeRef
from django_tasktree.engine.transient import persist
from django_tasktree.exceptions import Fenced
from django_tasktree.identifiers import new_task_id
from django_tasktree.models import NodeAttempt
from django_tasktree.states import NODE_FINAL, NodeState

#: The outcome, in the log of attempts, of one whose worker was lost.
LOST = "LOST"
#: The outcome of one that the body handed back with ``Reject(requeue=True)``.
REJECTED = "REJECTED"


def retry(node: NodeRef, error: NodeError, eta: datetime | None, arguments: Mapping[str, Any] | None = None) -> UUID:
    """Move a started node to RETRY; committed before the retry's message may be sent.

    Args:
        node: the attempt that ends here.
        error: why it is to be tried again.
        eta: when the next attempt is due.
        arguments: the columns with the arguments of the next attempt, where they are others.

    Returns:
        The task id that the next attempt's message must bear.

    Raises:
        Fenced: another attempt has taken over, or the node has ended already.
    """
    task_id = new_task_id()
    values = {"task_id": task_id, "eta": eta, "retries": F("retries") + 1, **(arguments or {})}
    try:
        persist(lambda: _next_attempt(node, NodeState.RETRY, str(NodeState.RETRY), error, **values))
    except Fenced:
        # The answer to an earlier try may have been lost after its commit.
        if not persist(nodes().filter(id=node.id, task_id=task_id).exists):
            raise
    return task_id


def requeue(node: NodeRef, outcome: str, error: NodeError) -> Dispatch:
    """Queue a started node anew, under a new task id.

    Args:
        node: the attempt that ends here.
        outcome: :data:`LOST` or :data:`REJECTED`.
        error: what happened to it.

    Returns:
        The node to publish after commit.

    Raises:
        Fenced: another attempt has taken over, or the node has ended already.
    """
    with transaction.atomic(using=write_alias()):
        _next_attempt(node, NodeState.QUEUED, outcome, error, task_id=new_task_id())
        row = nodes().values_list(*DISPATCH_COLUMNS).get(id=node.id)
    return Dispatch(*row)


def losses(node: NodeRef) -> int:
    """Count the attempts at a node whose worker was lost, since it was last run again by request."""
    log = NodeAttempt.objects.using(write_alias()).filter(node_id=node.id)
    # Only what runs a node again by request logs a final state, see ``reset``.
    finals = log.filter(outcome__in=NODE_FINAL).order_by("-number").values("number")[:1]
    return log.filter(outcome=LOST, number__gt=Coalesce(Subquery(finals), 0)).count()


def _next_attempt(node: NodeRef, state: NodeState, outcome: str, error: NodeError, **values: Any) -> None:
    with transaction.atomic(using=write_alias()):
        mine = nodes().filter(id=node.id)
        # Locked by its key first, as everywhere, and not by its task id.
        found = mine.select_for_update().values_list("attempts", "worker", "started_at").first()
        values |= {"queued_at": times.now(), "resent": 0}
        if found is None or not move(mine.filter(task_id=node.task_id), [NodeState.STARTED], state, **values):
            raise Fenced.of(node.id, node.task_id)
        number, worker, started_at = found
        columns = error_values(error)
        del columns["error_args"]
        NodeAttempt.objects.using(write_alias()).create(
            node_id=node.id,
            number=number,
            task_id=node.task_id,
            worker=worker,
            started_at=started_at,
            finished_at=times.now(),
            outcome=outcome,
            **columns,
        )
