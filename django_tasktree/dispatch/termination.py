"""Find and terminate the running task functions of a run or a subtree."""

import logging
from collections.abc import Iterator
from uuid import UUID

from celery import current_app

from django_tasktree.dispatch import eager
from django_tasktree.dispatch.shared_messages import own_message
from django_tasktree.engine.database_retries import retry_transient
from django_tasktree.engine.transitions import nodes
from django_tasktree.engine.traversal import in_batches, subtree
from django_tasktree.models.querysets import NodeRunQuerySet
from django_tasktree.states import NodeState

logger = logging.getLogger(__name__)


def running(run_id: UUID, node_id: UUID | None) -> list[UUID]:
    """Return the task IDs of the messages whose processes run task functions.

    Args:
        run_id: the run.
        node_id: the node whose subtree to search; None searches the whole run.
    """
    return list(dict.fromkeys(_running(run_id, node_id)))


def terminate(task_ids: list[UUID]) -> None:
    """Terminate task functions with Celery's ``revoke(terminate=True)``, which only the prefork pool supports."""
    if task_ids:
        current_app.control.revoke([str(task_id) for task_id in task_ids], terminate=True)


def terminate_below(run_id: UUID, scope_id: UUID) -> None:
    """Terminate the task functions that run in a scope that a failure has stopped. An error is logged.

    Args:
        run_id: the run.
        scope_id: the ID of the run or of a node: the scope.
    """
    if eager.is_on(current_app):
        return
    own = own_message()
    try:
        found = retry_transient(lambda: running(run_id, None if scope_id == run_id else scope_id))
        # This process has the other nodes of its message only claimed, and would terminate itself.
        terminate([task_id for task_id in found if task_id != own])
    except Exception:
        logger.exception("run %s: its running tasks could not be terminated after a failure", run_id)


def _running(run_id: UUID, node_id: UUID | None) -> Iterator[UUID]:
    started = nodes().filter(run_id=run_id, state=NodeState.STARTED)
    if node_id is None:
        yield from _messages(started)
        return
    for batch in in_batches(subtree(run_id, node_id)):
        yield from _messages(started.filter(id__in=batch))


def _messages(started: NodeRunQuerySet) -> Iterator[UUID]:
    for task_id, carried_by in started.values_list("task_id", "carried_by"):
        yield carried_by or task_id
