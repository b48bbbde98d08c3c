"""Requeue or fail the nodes of lost workers, and settle finished nodes whose process was lost before it did so."""

import logging
from datetime import datetime
from typing import Any

from django_tasktree.dispatch.after_commit import settle_now
from django_tasktree.encoding import times
from django_tasktree.encoding.node_error import NodeError
from django_tasktree.engine.recovery.nodes import Orphan, finished_unsettled_nodes, orphans
from django_tasktree.engine.recovery.scan import Scan
from django_tasktree.engine.types import NodeRef
from django_tasktree.recovery.report import SweepReport, repairing
from django_tasktree.worker.lost_attempts import requeue_or_fail

logger = logging.getLogger(__name__)

_ERROR = "celery.exceptions.WorkerLostError"


def recover_orphans(app: Any, scan: Scan, now: datetime, report: SweepReport) -> None:
    """Queue the started nodes of lost workers again, or fail them, according to their redelivery policies."""
    for orphan in orphans(scan, now):
        with repairing(f"node {orphan.dispatch.id}", report):
            _recover(app, orphan, report)


def _recover(app: Any, orphan: Orphan, report: SweepReport) -> None:
    dispatch = orphan.dispatch
    reason = f"worker {orphan.worker} {_end_of(orphan)}"
    is_requeued = requeue_or_fail(NodeRef.of(dispatch), app.tasks.get(dispatch.task), NodeError(_ERROR, reason))
    action = "queued again" if is_requeued else "failed"
    logger.warning("node %s (%s) was %s: %s", dispatch, dispatch.task, action, reason)
    if is_requeued:
        report.requeued += 1
    else:
        report.failed += 1


def _end_of(orphan: Orphan) -> str:
    if orphan.last_seen is None:
        return "shut down while it ran the task function"
    return f"was lost: its last heartbeat was at {times.text(orphan.last_seen)}"


def settle_nodes(_app: Any, scan: Scan, now: datetime, report: SweepReport) -> None:
    """Settle the nodes that have finished and under which nothing is left to do."""
    for run_id, node_id in finished_unsettled_nodes(scan, now):
        with repairing(f"node {node_id}", report):
            settle_now(run_id, node_id)
            report.settled += 1
