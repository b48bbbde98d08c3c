"""Continue runs: those that are stuck, due or overdue, and those with an interrupted change."""

import logging
from datetime import datetime
from typing import Any

from django_tasktree.control import operations
from django_tasktree.control.changes import Interrupted, continue_change
from django_tasktree.dispatch.after_commit import advance_and_settle_now, advance_now, settle_now
from django_tasktree.engine.recovery.runs import (
    RunProblem,
    due_drafts,
    interrupted_changes,
    overdue_runs,
    release_overlooked,
    runs_without_progress,
)
from django_tasktree.engine.recovery.scan import Scan
from django_tasktree.exceptions import NotPossible
from django_tasktree.recovery.report import SweepReport, repairing

logger = logging.getLogger(__name__)


def continue_runs(_app: Any, scan: Scan, now: datetime, report: SweepReport) -> None:
    """Queue the nodes that may start, and settle the runs in which nothing is left to do."""
    for run_id, problem in runs_without_progress(scan, now):
        with repairing(f"run {run_id}", report):
            if problem == RunProblem.RUNNABLE:
                report.advanced += advance_now(run_id)
                continue
            if problem == RunProblem.SETTLED:
                settle_now(run_id, None)
            else:
                number = release_overlooked(run_id)
                logger.warning(
                    "run %s was stuck: %d of its nodes had not been released when their parents finished",
                    run_id,
                    number,
                )
                advance_and_settle_now(run_id)
            report.settled += 1


def enforce_schedule(_app: Any, scan: Scan, now: datetime, report: SweepReport) -> None:
    """Launch the drafts that are due and stop the runs that are overdue, if the timer message is lost or late."""
    for run_id in due_drafts(scan, now):
        with repairing(f"draft {run_id}", report):
            try:
                operations.launch_draft(run_id, by="eta")
                report.launched += 1
            except NotPossible as exc:
                logger.info("%s", exc)
    for run_id in overdue_runs(scan, now):
        with repairing(f"run {run_id}", report):
            report.overdue += operations.enforce_deadline(run_id, scan.may_continue)


def continue_changes(_app: Any, scan: Scan, now: datetime, report: SweepReport) -> None:
    """Continue the interrupted changes as long as there is time; the next pass continues the rest."""
    for entry in interrupted_changes(now):
        if not scan.may_continue():
            return
        with repairing(f"the {entry.action} of run {entry.run_id}", report):
            try:
                report.continued += continue_change(entry, scan.may_continue)
            except Interrupted:
                logger.info("the next pass continues the %s of run %s", entry.action, entry.run_id)
                return
