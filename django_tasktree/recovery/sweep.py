"""A pass of the sweep: repair each kind of damage in turn, within the limits of the pass."""

import logging
import time
from collections.abc import Callable
from typing import Any

from celery import current_app

from django_tasktree.control.purge import purge_by_retention
from django_tasktree.engine.backends import database_now
from django_tasktree.engine.heartbeats import forget
from django_tasktree.engine.recovery import lease
from django_tasktree.engine.recovery.scan import Scan
from django_tasktree.recovery.messages import resend_lost
from django_tasktree.recovery.nodes import recover_orphans, settle_nodes
from django_tasktree.recovery.report import SweepReport, repairing
from django_tasktree.recovery.runs import continue_changes, continue_runs, enforce_schedule
from django_tasktree.recovery.sub_runs import process_sub_runs
from django_tasktree.recovery.waits import process_waits
from django_tasktree.worker.heartbeat import HeartbeatThreads

logger = logging.getLogger(__name__)

#: The limits of a worker's pass: the number of pages of each kind of rows, and the duration in seconds.
MAX_PAGES = 20
MAX_SECONDS = 20


def _forget_workers(_app: Any, _scan: Scan, now: Any, _report: SweepReport) -> None:
    forget(now)


def _purge(_app: Any, scan: Scan, _now: Any, report: SweepReport) -> None:
    with repairing("the retention of old runs", report):
        purged = purge_by_retention(scan)
        report.purged += purged.runs
        for kept in purged.kept:
            if kept.error is None:
                logger.info("run %s is not deleted: %s", kept.run_id, kept.reason)
            else:
                report.errors += 1
                logger.error("run %s could not be deleted: %s", kept.run_id, kept.reason, exc_info=kept.error)


#: The steps of a pass, in this order: those for which runs wait come first.
STEPS: tuple[Callable[[Any, Scan, Any, SweepReport], None], ...] = (
    recover_orphans,
    settle_nodes,
    continue_runs,
    enforce_schedule,
    process_waits,
    process_sub_runs,
    continue_changes,
    resend_lost,
    _forget_workers,
    _purge,
)


def sweep(app: Any = None, scan: Scan | None = None) -> SweepReport:
    """Make one pass and return its report.

    Args:
        app: the Celery application; by default the current one.
        scan: the extent of the pass; by default all rows.
    """
    app = app or current_app
    scan = scan or Scan()
    report = SweepReport()
    now = database_now()
    for step in STEPS:
        step(app, scan, now, report)
    if report:
        logger.warning("the sweep made repairs: %s", report)
    return report


def sweep_if_due(threads: HeartbeatThreads) -> None:
    """Make a limited pass if one is due and no other worker holds the lease.

    Args:
        threads: the threads of the worker; the pass records heartbeats too.
    """
    worker_id = threads.describe().id
    cursors = lease.take(worker_id)
    if cursors is None:
        return
    end = time.monotonic() + MAX_SECONDS

    def may_continue() -> bool:
        threads.beat_if_due()
        return not threads.stopping.is_set() and time.monotonic() < end

    scan = Scan(cursors, MAX_PAGES, may_continue)
    sweep(threads.app, scan)
    lease.release(worker_id, scan.cursors)
