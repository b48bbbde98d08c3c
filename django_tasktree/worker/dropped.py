"""Attempts that this worker no longer runs, though their nodes say so: their outcome could not be written.

The database may have been away when a body ended, or when a pool process died. The worker lives, so no sweep takes its
nodes over; it does so itself.
"""

import logging
from typing import Any
from uuid import UUID

from django_tasktree.engine.specs import DISPATCH_COLUMNS, Dispatch, NodeError
from django_tasktree.engine.sweep.pages import unsettled
from django_tasktree.exceptions import Fenced
from django_tasktree.states import NodeState
from django_tasktree.worker.held import held_task_ids
from django_tasktree.worker.lost import give_up
from django_tasktree.worker.message import ref_of

logger = logging.getLogger(__name__)

_TOLD = "its worker {} lives, but does not run it any more: how the attempt ended could not be written"


class Dropped:
    """Looks at each heartbeat; what is missing twice is given up."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._missing: set[UUID] = set()

    def give_up(self, worker_id: UUID) -> None:
        """Give up the attempts that were missing the last time too.

        Args:
            worker_id: this worker.
        """
        mine = unsettled(NodeState.STARTED).filter(worker_id=worker_id)
        started = list(mine.values_list("task_id", flat=True))
        held = held_task_ids()
        missing = {task_id for task_id in started if str(task_id) not in held}
        again, self._missing = missing & self._missing, missing
        for worker, *columns in list(mine.filter(task_id__in=again).values_list("worker", *DISPATCH_COLUMNS)):
            self._give_up(Dispatch(*columns), worker)

    def _give_up(self, dispatch: Dispatch, worker: str) -> None:
        error = NodeError("celery.exceptions.WorkerLostError", _TOLD.format(worker))
        try:
            again = give_up(ref_of(dispatch), self._app.tasks.get(dispatch.task), error)
        except Fenced:
            logger.debug("the attempt %s at node %s has ended after all", dispatch.task_id, dispatch.id)
        else:
            does = "runs again" if again else "fails"
            logger.warning("node %s (%s): %s; it %s", dispatch.id, dispatch.task, error.message, does)
