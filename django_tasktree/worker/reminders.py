"""Messages to the workers that fall due later: a run is to start, or must have ended."""

import logging
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

from celery import current_app
from django.db import transaction

from django_tasktree import times
from django_tasktree.citizens import registered_task
from django_tasktree.engine.moves import write_alias
from django_tasktree.engine.specs import RunSpec
from django_tasktree.worker.publisher import unreachable

logger = logging.getLogger(__name__)


def remind_after_commit(run: RunSpec) -> None:
    """Send what a new run needs to mind the time, once the transaction has committed.

    The row is what counts: a message that comes twice, or late, changes nothing that it should not.
    """
    for task, moment in [("django_tasktree.start_due", run.eta), ("django_tasktree.enforce_deadline", run.deadline)]:
        if moment is not None:
            transaction.on_commit(partial(_send, task, run.id, moment), using=write_alias())


def _send(name: str, run_id: UUID, moment: datetime) -> None:
    app: Any = current_app
    if app.conf.task_always_eager:
        # Nothing waits in eager mode: what is due later starts now, and no deadline can pass while somebody waits.
        if name.endswith("start_due"):
            registered_task(name).apply((str(run_id),), throw=True)
        return
    try:
        app.send_task(name, [str(run_id)], eta=times.instant(moment), ignore_result=True)
    except unreachable(app) as exc:
        logger.warning("the broker can't be reached (%r): nobody is told when run %s is due (%s)", exc, run_id, name)
