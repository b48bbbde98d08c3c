"""Start another attempt at a started node: the task requested a retry, or the attempt was lost or rejected."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import F, Subquery
from django.db.models.functions import Coalesce

from django_tasktree.encoding import times
from django_tasktree.encoding.ids import new_task_id
from django_tasktree.encoding.node_error import NodeError
from django_tasktree.engine.attempt_log import log_attempt
from django_tasktree.engine.database_retries import retry_transient
from django_tasktree.engine.lifecycle.finish import error_values
from django_tasktree.engine.transitions import move, nodes, write_alias
from django_tasktree.engine.types import DISPATCH_COLUMNS, Dispatch, NodeRef
from django_tasktree.exceptions import StaleAttempt
from django_tasktree.models import NodeAttempt
from django_tasktree.states import NODE_FINAL, NodeState

#: The outcome of an attempt whose worker was lost, in the log of attempts.
LOST = "LOST"
#: The outcome of an attempt whose task function raised ``Reject(requeue=True)``.
REJECTED = "REJECTED"


def retry(node: NodeRef, error: NodeError, eta: datetime | None, arguments: Mapping[str, Any] | None = None) -> UUID:
    """Move a started node to RETRY. The message of the retry may be sent only after this has committed.

    Args:
        node: the attempt that ends.
        error: the reason for the retry.
        eta: when the next attempt is due.
        arguments: the columns with the arguments of the next attempt, if they differ.

    Returns:
        The task ID that the message of the next attempt must have.

    Raises:
        StaleAttempt: if another attempt has taken over, or the node has finished already.
    """
    task_id = new_task_id()
    values = {"task_id": task_id, "eta": eta, "retries": F("retries") + 1, **(arguments or {})}
    try:
        retry_transient(lambda: _next_attempt(node, NodeState.RETRY, str(NodeState.RETRY), error, **values))
    except StaleAttempt:
        # An earlier try may have committed although its reply was lost.
        if not retry_transient(nodes().filter(id=node.id, task_id=task_id).exists):
            raise
    return task_id


def requeue(node: NodeRef, outcome: str, error: NodeError) -> Dispatch:
    """Queue a started node again, under a new task ID.

    Args:
        node: the attempt that ends.
        outcome: :data:`LOST` or :data:`REJECTED`.
        error: what happened to the attempt.

    Returns:
        The node to publish after commit.

    Raises:
        StaleAttempt: if another attempt has taken over, or the node has finished already.
    """
    with transaction.atomic(using=write_alias()):
        _next_attempt(node, NodeState.QUEUED, outcome, error, task_id=new_task_id())
        row = nodes().values_list(*DISPATCH_COLUMNS).get(id=node.id)
    return Dispatch.of_columns(row)


def losses(node: NodeRef) -> int:
    """Count a node's attempts whose worker was lost, since the node was last reset by a retry or rerun."""
    log = NodeAttempt.objects.using(write_alias()).filter(node_id=node.id)
    # Only ``reset`` logs a final state, when an action runs the node again.
    finals = log.filter(outcome__in=NODE_FINAL).order_by("-number").values("number")[:1]
    return log.filter(outcome=LOST, number__gt=Coalesce(Subquery(finals), 0)).count()


def _next_attempt(node: NodeRef, state: NodeState, outcome: str, error: NodeError, **values: Any) -> None:
    with transaction.atomic(using=write_alias()):
        mine = nodes().filter(id=node.id)
        # Lock by primary key first, as every statement does, and not by task ID.
        found = mine.select_for_update().values("attempts", "worker", "started_at").first()
        # From now on it has a message of its own: a node that kills its worker must not do so beside others.
        values |= {"queued_at": times.now(), "resend_count": 0, "lane": ""}
        if found is None or not move(mine.filter(task_id=node.task_id), [NodeState.STARTED], state, **values):
            raise StaleAttempt.of(node.id, node.task_id)
        ended = {"id": node.id, "task_id": node.task_id, "finished_at": times.now(), "state": outcome}
        log_attempt(found | ended | error_values(error))
