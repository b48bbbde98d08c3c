"""Follow up what ended, or became ready, in processes that did not live to do so."""

import logging
from datetime import datetime
from typing import Any

from django_tasktree.engine.overlooked import release_overlooked
from django_tasktree.engine.sweep.pages import Walk
from django_tasktree.engine.sweep.stuck import Stuck, half_settled_nodes, stuck_runs
from django_tasktree.sweeping.mending import mending
from django_tasktree.sweeping.swept import Swept
from django_tasktree.worker.follow import advance_now, carry_on_now, settle_now

logger = logging.getLogger(__name__)


def unstick(_app: Any, walk: Walk, now: datetime, swept: Swept) -> None:
    """Settle what has ended, and queue what is ready."""
    for run_id, node_id in half_settled_nodes(walk, now):
        with mending(f"node {node_id}", swept):
            settle_now(run_id, node_id)
            swept.settled += 1
    for run_id, stuck in stuck_runs(walk, now):
        with mending(f"run {run_id}", swept):
            if stuck == Stuck.READY:
                swept.advanced += advance_now(run_id)
                continue
            if stuck == Stuck.SETTLED:
                settle_now(run_id, None)
            else:
                found = release_overlooked(run_id)
                logger.warning("nothing moved run %s any more; %d of its nodes had been overlooked", run_id, found)
                carry_on_now(run_id)
            swept.settled += 1
