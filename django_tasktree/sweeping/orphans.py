"""Take over the nodes of lost workers."""

import logging
from datetime import datetime
from typing import Any

from django_tasktree import times
from django_tasktree.engine.specs import NodeError
from django_tasktree.engine.sweep.orphans import Orphan, orphans
from django_tasktree.engine.sweep.pages import Walk
from django_tasktree.sweeping.mending import mending
from django_tasktree.sweeping.swept import Swept
from django_tasktree.worker.lost import give_up
from django_tasktree.worker.message import ref_of

logger = logging.getLogger(__name__)

_ERROR = "celery.exceptions.WorkerLostError"


def take_over(app: Any, walk: Walk, now: datetime, swept: Swept) -> None:
    """Queue started nodes of lost workers anew, or fail them, as their ``on_worker_lost`` says."""
    for orphan in orphans(walk, now):
        with mending(f"node {orphan.dispatch.id}", swept):
            _take_over(app, orphan, swept)


def _take_over(app: Any, orphan: Orphan, swept: Swept) -> None:
    dispatch = orphan.dispatch
    told = f"its worker {orphan.worker} {_end_of(orphan)}"
    again = give_up(ref_of(dispatch), app.tasks.get(dispatch.task), NodeError(_ERROR, told))
    logger.warning("node %s (%s): %s; it %s", dispatch.id, dispatch.task, told, "runs again" if again else "fails")
    if again:
        swept.requeued += 1
    else:
        swept.failed += 1


def _end_of(orphan: Orphan) -> str:
    if orphan.last_seen is None:
        return "shut down while its body ran"
    return f"was lost: it gave its last sign of life at {times.text(orphan.last_seen)}"
