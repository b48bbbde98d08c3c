"""Store the end of attempts whose own process could not: killed, timed out, broken, expired, revoked, unknown task."""

import logging
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

from celery import current_app
from celery.exceptions import NotRegistered

from django_tasktree.builder.chunks import chunk_size
from django_tasktree.dispatch.after_commit import finish_and_propagate, publish_after_commit
from django_tasktree.dispatch.message import read_header
from django_tasktree.encoding.errors import describe
from django_tasktree.encoding.node_error import NodeError
from django_tasktree.engine.lifecycle import attempts
from django_tasktree.engine.lifecycle.take import carried_nodes, is_at_its_node, is_revoked
from django_tasktree.engine.transitions import nodes
from django_tasktree.engine.types import DISPATCH_COLUMNS, Dispatch, NodeRef, Outcome
from django_tasktree.exceptions import StaleAttempt
from django_tasktree.states import ACTIVE, CLAIMABLE, NodeState
from django_tasktree.worker import identity
from django_tasktree.worker.fork_safety import parent_connections
from django_tasktree.worker.redelivery import redelivery_policy_of

logger = logging.getLogger(__name__)


def attempt_timed_out(headers: Any, task_id: str, exc: BaseException) -> None:
    """Fail the node of an attempt that exceeded its hard time limit.

    Args:
        headers: the message's headers, or the request's dict. Nothing is done if the message is not for a node.
        task_id: the message's task ID.
        exc: the error to store.
    """
    error = describe(exc)
    _conclude(headers, task_id, NodeState.FAILURE, error, ACTIVE)
    _for_node(headers, task_id, lambda node: _time_out_carried(node, error))


def attempt_lost(headers: Any, task_id: str, task: Any, exc: BaseException) -> None:
    """Requeue or fail the node of an attempt whose process died.

    Args:
        headers: see :func:`attempt_timed_out`.
        task_id: the message's task ID.
        task: the task instance.
        exc: how the process died.
    """
    _for_own_node(headers, task_id, lambda node: requeue_or_fail(node, task, describe(exc)))
    _lose_carried(headers, task_id, exc)


def attempt_broken(headers: Any, task_id: str, task: Any, exc: BaseException) -> None:
    """Handle a node whose message Celery could not process, although the process is alive.

    If the node was claimed, its attempt counts as lost. Otherwise it stays QUEUED, and the sweep sends its message
    again; if that was the last delivery that its redelivery policy allows, it fails.

    Args:
        headers: see :func:`attempt_timed_out`.
        task_id: the message's task ID.
        task: the task instance.
        exc: the exception that Celery raised.
    """
    _for_own_node(headers, task_id, lambda node: _count_delivery(node, task, exc))
    _lose_carried(headers, task_id, exc)


def _count_delivery(node: NodeRef, task: Any, exc: BaseException) -> None:
    waiting = nodes().filter(id=node.id, task_id=node.task_id, state__in=CLAIMABLE)
    resend_count = waiting.values_list("resend_count", flat=True).first()
    error = describe(exc)
    if resend_count is None:
        requeue_or_fail(node, task, error)
        return
    deliveries, allowed = resend_count + 1, redelivery_policy_of(node, task).max_deliveries
    if deliveries < allowed:
        logger.error(
            "node %s: Celery could not process its message (%s): the sweep sends it again", node, error.message
        )
        return
    text = f"Celery could not process the message (delivery {deliveries} of {allowed}): {error.message}"
    finish_and_propagate(node, Outcome(NodeState.FAILURE, error=replace(error, message=text, args="")), CLAIMABLE)


def requeue_or_fail(node: NodeRef, task: Any, error: NodeError) -> bool:
    """Queue the node of a lost attempt again, or fail it, according to its redelivery policy.

    Args:
        node: the lost attempt.
        task: the task instance; None if it is not registered in this process.
        error: how the attempt was lost.

    Returns:
        True if the node was queued again, False if it has failed.

    Raises:
        StaleAttempt: if the attempt has already ended, or another process has requeued or failed it.
    """
    policy = redelivery_policy_of(node, task)
    deliveries = attempts.losses(node) + 1
    if policy.retries and deliveries < policy.max_deliveries:
        publish_after_commit(node.run_id, [attempts.requeue(node, attempts.LOST, error)])
        return True
    delivery = f" (delivery {deliveries} of {policy.max_deliveries})" if policy.retries else ""
    last_error = NodeError(error.type, error.message + delivery, "", error.traceback)
    finish_and_propagate(node, Outcome(NodeState.FAILURE, error=last_error), ACTIVE)
    return False


def attempt_revoked(headers: Any, task_id: str, *, expired: bool, terminated: bool) -> None:
    """Revoke the node of a message that expired or was revoked through Celery.

    Args:
        headers: see :func:`attempt_timed_out`.
        task_id: the message's task ID.
        expired: whether the message expired before a worker started it.
        terminated: whether a running attempt was terminated; otherwise the task ID was revoked before it started.
    """
    if expired:
        error = NodeError("celery.exceptions.TaskRevokedError", "the message expired before a worker started it")
    elif terminated:
        error = NodeError("celery.exceptions.Terminated", "the attempt was terminated through Celery")
    else:
        error = NodeError("celery.exceptions.TaskRevokedError", "the task ID was revoked through Celery")
    if terminated:
        _for_node(headers, task_id, lambda node: _terminate(headers, node, error))
    else:
        _conclude(headers, task_id, NodeState.REVOKED, error, CLAIMABLE)


def task_unknown(headers: Any, task_id: str, name: str, worker: str) -> None:
    """Fail the node of a message whose task is not registered on this worker.

    Args:
        headers: see :func:`attempt_timed_out`.
        task_id: the message's task ID.
        name: the name of the task.
        worker: the name of this worker.
    """
    text = f"task {name!r} is not registered on worker {worker}: check that its module is imported there and up to date"
    error = NodeError(f"{NotRegistered.__module__}.{NotRegistered.__qualname__}", text)
    _conclude(headers, task_id, NodeState.FAILURE, error, CLAIMABLE)


def concerns_other_nodes(headers: Any, task_id: str) -> bool:
    """Return whether the process of a message no longer runs its node: what happens to it concerns other nodes."""
    found: list[bool] = []
    _for_node(headers, task_id, lambda node: found.append(not _is_at_its_node(headers, node)))
    return any(found)


def _is_at_its_node(headers: Any, carrier: NodeRef) -> bool:
    has_chunks = chunk_size(current_app.tasks.get(headers.get("task"))) > 1
    return not carrier.lane or is_at_its_node(carrier, identity.here, has_chunks=has_chunks)


def _lose_carried(headers: Any, task_id: str, exc: BaseException) -> None:
    """Requeue or fail the nodes that the process of a lost attempt had taken."""
    _for_node(headers, task_id, lambda node: _for_carried(node, partial(_requeue_carried, error=describe(exc))))


def _for_carried(carrier: NodeRef, act: Callable[[Dispatch], object]) -> None:
    if not carrier.lane:
        return
    for dispatch in carried_nodes(carrier, identity.here):
        with suppress(StaleAttempt):
            act(dispatch)


def _requeue_carried(dispatch: Dispatch, error: NodeError) -> None:
    tasks: Any = current_app.tasks
    requeue_or_fail(NodeRef.of(dispatch), tasks.get(dispatch.task), error)


def _terminate(headers: Any, node: NodeRef, error: NodeError) -> None:
    """Revoke the node of a terminated process, unless another node of its chunk was meant."""
    others = carried_nodes(node, identity.here) if node.lane else []
    if _is_at_its_node(headers, node):
        if any(is_revoked(other.id) for other in others):
            running = nodes().filter(id=node.id, task_id=node.task_id, state=NodeState.STARTED)
            others += map(Dispatch.of_columns, running.values_list(*DISPATCH_COLUMNS))
        else:
            with suppress(StaleAttempt):
                finish_and_propagate(node, Outcome(NodeState.REVOKED, error=error), ACTIVE)
    for other in others:
        with suppress(StaleAttempt):
            _terminate_carried(other, error)


def _time_out_carried(carrier: NodeRef, error: NodeError) -> None:
    """Fail the node that the process has run, or the nodes of a chunk: the time limit is that of the call for all."""
    taken = carried_nodes(carrier, identity.here) if carrier.lane else []
    for dispatch in taken:
        with suppress(StaleAttempt):
            # Usually, those that do not run are queued again long before the time limit. If they could not be, it is
            # not known which one runs.
            if len(taken) == 1 or chunk_size(current_app.tasks.get(dispatch.task)) > 1:
                finish_and_propagate(NodeRef.of(dispatch), Outcome(NodeState.FAILURE, error=error))
            else:
                _requeue_carried(dispatch, error)


def _terminate_carried(dispatch: Dispatch, error: NodeError) -> None:
    """Revoke a node whose process was terminated; queue it again if only another node of that process was meant."""
    if is_revoked(dispatch.id):
        finish_and_propagate(NodeRef.of(dispatch), Outcome(NodeState.REVOKED, error=error))
    else:
        _requeue_carried(dispatch, error)


def _conclude(headers: Any, task_id: str, state: NodeState, error: NodeError, sources: Iterable[NodeState]) -> None:
    _for_own_node(headers, task_id, lambda node: finish_and_propagate(node, Outcome(state, error=error), sources))


def _for_own_node(headers: Any, task_id: str, act: Callable[[NodeRef], object]) -> None:
    """Call a function with the attempt that a message names, unless another process runs it or it has ended."""

    def act_on_own(node: NodeRef) -> None:
        if _is_at_its_node(headers, node):
            act(node)

    _for_node(headers, task_id, act_on_own)


def _for_node(headers: Any, task_id: str, act: Callable[[NodeRef], object]) -> None:
    """Call a function with the attempt that a message names, in the worker's parent process.

    An exception must not stop the worker's event loop: it is logged, and the node keeps its state.
    """
    node = read_header(headers, task_id)
    if node is None:
        return
    try:
        with parent_connections():
            act(node)
    except StaleAttempt:
        logger.debug("the attempt %s at node %s had ended already", node.task_id, node)
    except Exception:
        logger.exception("the end of attempt %s at node %s could not be stored", node.task_id, node)
