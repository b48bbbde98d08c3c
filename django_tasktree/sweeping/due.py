"""Launch drafts and stop runs in time, where the message that was to do so is lost or late."""

import logging
from datetime import datetime
from typing import Any

from django_tasktree import steering
from django_tasktree.engine.sweep.due import due_drafts, overdue_runs
from django_tasktree.engine.sweep.pages import Walk
from django_tasktree.exceptions import NotPossible
from django_tasktree.sweeping.mending import mending
from django_tasktree.sweeping.swept import Swept

logger = logging.getLogger(__name__)


def mind_the_time(_app: Any, walk: Walk, now: datetime, swept: Swept) -> None:
    """Launch what is due, and stop what is overdue."""
    for run_id in due_drafts(walk, now):
        with mending(f"draft {run_id}", swept):
            try:
                steering.launch_draft(run_id, by="eta")
                swept.launched += 1
            except NotPossible as exc:
                logger.info("%s", exc)
    for run_id in overdue_runs(walk, now):
        with mending(f"run {run_id}", swept):
            swept.overdue += steering.enforce_deadline(run_id)
