"""Find and terminate the running task functions of a run or a subtree."""

from collections.abc import Iterator
from uuid import UUID

from celery import current_app

from django_tasktree.engine.transitions import nodes
from django_tasktree.engine.traversal import in_batches, subtree
from django_tasktree.models.querysets import NodeRunQuerySet
from django_tasktree.states import NodeState


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
