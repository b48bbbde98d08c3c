"""Attempts whose end the node's own process could not write: killed, timed out, broken, expired, revoked, unknown."""

import logging
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from celery.exceptions import NotRegistered

from django_tasktree.engine import retry as engine_retry
from django_tasktree.engine.moves import nodes
from django_tasktree.engine.specs import NodeError, NodeRef, Outcome
from django_tasktree.exceptions import Fenced
from django_tasktree.failures import describe
from django_tasktree.states import ACTIVE, NodeState
from django_tasktree.worker.follow import conclude, publish_after_commit
from django_tasktree.worker.forking import parent_connections
from django_tasktree.worker.loss_rule import rule_of
from django_tasktree.worker.message import read_header

logger = logging.getLogger(__name__)

_NOT_STARTED = (NodeState.QUEUED, NodeState.RETRY)


def attempt_died(headers: Any, task_id: str, exc: BaseException) -> None:
    """Fail the node of an attempt that ran into its hard time limit."""
    _conclude(headers, task_id, NodeState.FAILURE, describe(exc), ACTIVE)


def attempt_lost(headers: Any, task_id: str, task: Any, exc: BaseException) -> None:
    """Queue the node of an attempt whose process died anew, or fail it, as the task's ``on_worker_lost`` says."""
    _for_node(headers, task_id, lambda node: give_up(node, task, describe(exc)))


def attempt_broken(headers: Any, task_id: str, task: Any, exc: BaseException) -> None:
    """Take care of a node whose message Celery could not handle, though its process lives.

    A body that had begun counts as lost. Where the message died before the claim, the node stays queued, and the sweep
    sends it again; the last delivery that its rule allows fails it.
    """
    _for_node(headers, task_id, lambda node: _count_delivery(node, task, exc))


def _count_delivery(node: NodeRef, task: Any, exc: BaseException) -> None:
    waiting = nodes().filter(id=node.id, task_id=node.task_id, state__in=_NOT_STARTED)
    resent = waiting.values_list("resent", flat=True).first()
    error = describe(exc)
    if resent is None:
        give_up(node, task, error)
        return
    deliveries, most = resent + 1, rule_of(node, task).max_deliveries
    if deliveries < most:
        logger.error("node %s: its message died before the task began (%s): it is sent again", node.id, error.message)
        return
    text = f"the message died before the task began (delivery {deliveries} of {most}): {error.message}"
    conclude(node, Outcome(NodeState.FAILURE, error=replace(error, message=text, args="")), _NOT_STARTED)


def give_up(node: NodeRef, task: Any, error: NodeError) -> bool:
    """Queue a node whose attempt was lost anew, or fail it, as its own ``on_worker_lost`` or its task's says.

    Args:
        node: the lost attempt.
        task: the task instance; None where this process does not know it.
        error: how the attempt was lost.

    Returns:
        Whether it runs again.

    Raises:
        Fenced: the attempt has ended after all, or was given up by somebody else.
    """
    rule = rule_of(node, task)
    deliveries = engine_retry.losses(node) + 1
    if rule.retries and deliveries < rule.max_deliveries:
        publish_after_commit(node.run_id, [engine_retry.requeue(node, engine_retry.LOST, error)])
        return True
    counted = f" (delivery {deliveries} of {rule.max_deliveries})" if rule.retries else ""
    told = NodeError(error.type, error.message + counted, "", error.traceback)
    conclude(node, Outcome(NodeState.FAILURE, error=told), ACTIVE)
    return False


def attempt_revoked(headers: Any, task_id: str, *, expired: bool, terminated: bool) -> None:
    """Revoke the node of a message that expired, or that was revoked through Celery."""
    if expired:
        error = NodeError("celery.exceptions.TaskRevokedError", "the message expired before a worker could start it")
    elif terminated:
        error = NodeError("celery.exceptions.Terminated", "the attempt was terminated through Celery")
    else:
        error = NodeError("celery.exceptions.TaskRevokedError", "the task id was revoked through Celery")
    _conclude(headers, task_id, NodeState.REVOKED, error, ACTIVE if terminated else _NOT_STARTED)


def task_unknown(headers: Any, task_id: str, name: str, worker: str) -> None:
    """Fail the node of a message whose task this worker does not have."""
    told = f"task {name!r} is not registered on worker {worker}: is its module imported there, and the code up to date?"
    error = NodeError(f"{NotRegistered.__module__}.{NotRegistered.__qualname__}", told)
    _conclude(headers, task_id, NodeState.FAILURE, error, _NOT_STARTED)


def _conclude(headers: Any, task_id: str, state: NodeState, error: NodeError, sources: Iterable[NodeState]) -> None:
    _for_node(headers, task_id, lambda node: conclude(node, Outcome(state, error=error), sources))


def _for_node(headers: Any, task_id: str, act: Callable[[NodeRef], object]) -> None:
    """Act on the node that a message names, in the worker's parent process.

    An error there must not stop the worker's event loop: it is logged, and the node keeps its state.
    """
    node = read_header(headers, task_id)
    if node is None:
        return
    try:
        with parent_connections():
            act(node)
    except Fenced:
        logger.debug("the attempt %s at node %s had ended already", node.task_id, node.id)
    except Exception:
        logger.exception("the end of attempt %s at node %s could not be written", node.task_id, node.id)
