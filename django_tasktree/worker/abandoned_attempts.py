"""Recover attempts that this worker no longer runs, although their nodes are still STARTED.

This happens if the database was unavailable when a task function ended or a pool process died, so that the outcome
could not be stored; or if the worker's main thread hangs, as Celery's can during a shutdown, and does not notice that
its pool processes have exited. The sweep only recovers nodes of lost workers. This worker is alive, so it recovers its
own.
"""

import logging
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from django_tasktree.encoding.node_error import NodeError
from django_tasktree.engine.recovery.scan import unsettled
from django_tasktree.engine.types import DISPATCH_COLUMNS, Dispatch, NodeRef
from django_tasktree.exceptions import StaleAttempt
from django_tasktree.states import NodeState
from django_tasktree.worker.held_requests import has_exited, held_task_ids
from django_tasktree.worker.lost_attempts import requeue_or_fail

logger = logging.getLogger(__name__)

_REASON = "worker {} is alive but no longer runs the attempt: its outcome could not be stored"


class AbandonedAttempts:
    """Requeue or fail the attempts that this worker did not run at two consecutive checks.

    Args:
        app: the worker's Celery application.
        pool_pids: returns the process IDs of the worker's pool; empty if the pool has no processes.
    """

    def __init__(self, app: Any, pool_pids: Callable[[], Sequence[int]] = tuple) -> None:
        self._app = app
        self._pool_pids = pool_pids
        self._missing: set[UUID] = set()

    def requeue_or_fail(self, worker_id: UUID) -> None:
        """Requeue or fail the attempts that were already missing at the previous check.

        Args:
            worker_id: the ID of this worker's row.
        """
        own_nodes = unsettled(NodeState.STARTED).filter(worker_id=worker_id)
        started = list(own_nodes.values_list("task_id", "carried_by"))
        held = set() if self._has_no_process() else held_task_ids()
        missing = {task_id for task_id, carried_by in started if str(carried_by or task_id) not in held}
        abandoned, self._missing = missing & self._missing, missing
        for worker, *columns in list(own_nodes.filter(task_id__in=abandoned).values_list("worker", *DISPATCH_COLUMNS)):
            self._requeue_or_fail(Dispatch.of_columns(columns), worker)

    def _has_no_process(self) -> bool:
        pids = self._pool_pids()
        return bool(pids) and all(map(has_exited, pids))

    def _requeue_or_fail(self, dispatch: Dispatch, worker: str) -> None:
        error = NodeError("celery.exceptions.WorkerLostError", _REASON.format(worker))
        try:
            is_requeued = requeue_or_fail(NodeRef.of(dispatch), self._app.tasks.get(dispatch.task), error)
        except StaleAttempt:
            logger.debug("the attempt %s at node %s has already ended", dispatch.task_id, dispatch)
        else:
            action = "queued again" if is_requeued else "failed"
            logger.warning("node %s (%s) was %s: %s", dispatch, dispatch.task, action, error.message)
