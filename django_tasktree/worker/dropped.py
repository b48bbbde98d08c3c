"""Attempts that this worker no longer runs, though their nodes say so: their outcome could not be written.

The database may have been away when a body ended, or when a pool process died; or the worker's main thread hangs, as
Celery's can in a shutdown, and does not notice that its processes are gone. The worker lives, so no sweep takes its
nodes over; it does so itself.
"""

import logging
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from django_tasktree.engine.specs import DISPATCH_COLUMNS, Dispatch, NodeError
from django_tasktree.engine.sweep.pages import unsettled
from django_tasktree.exceptions import Fenced
from django_tasktree.states import NodeState
from django_tasktree.worker.held import has_exited, held_task_ids
from django_tasktree.worker.lost import give_up
from django_tasktree.worker.message import ref_of

logger = logging.getLogger(__name__)

_TOLD = "its worker {} lives, but does not run it any more: how the attempt ended could not be written"


class Dropped:
    """Looks at each heartbeat; what is missing twice is given up.

    Args:
        app: the worker's Celery application.
        pool_pids: returns the processes of the worker's pool; none where the pool has no processes.
    """

    def __init__(self, app: Any, pool_pids: Callable[[], Sequence[int]] = tuple) -> None:
        self._app = app
        self._pool_pids = pool_pids
        self._missing: set[UUID] = set()

    def give_up(self, worker_id: UUID) -> None:
        """Give up the attempts that were missing the last time too.

        Args:
            worker_id: this worker.
        """
        mine = unsettled(NodeState.STARTED).filter(worker_id=worker_id)
        started = list(mine.values_list("task_id", flat=True))
        held = set() if self._has_no_process() else held_task_ids()
        missing = {task_id for task_id in started if str(task_id) not in held}
        again, self._missing = missing & self._missing, missing
        for worker, *columns in list(mine.filter(task_id__in=again).values_list("worker", *DISPATCH_COLUMNS)):
            self._give_up(Dispatch(*columns), worker)

    def _has_no_process(self) -> bool:
        pids = self._pool_pids()
        return bool(pids) and all(map(has_exited, pids))

    def _give_up(self, dispatch: Dispatch, worker: str) -> None:
        error = NodeError("celery.exceptions.WorkerLostError", _TOLD.format(worker))
        try:
            again = give_up(ref_of(dispatch), self._app.tasks.get(dispatch.task), error)
        except Fenced:
            logger.debug("the attempt %s at node %s has ended after all", dispatch.task_id, dispatch.id)
        else:
            does = "runs again" if again else "fails"
            logger.warning("node %s (%s): %s; it %s", dispatch.id, dispatch.task, error.message, does)
