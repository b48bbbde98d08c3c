"""End the nodes whose sub-run has ended, and revoke the sub-runs for which no node waits any more."""

from datetime import datetime
from typing import Any

from django_tasktree.dispatch.sub_run_ends import end_waiting_node_now, fail_waiting_node_now, stop_sub_run_now
from django_tasktree.engine.recovery.scan import Scan
from django_tasktree.engine.recovery.sub_runs import abandoned_sub_runs, ended_sub_runs
from django_tasktree.exceptions import RunNotFound
from django_tasktree.recovery.report import SweepReport, repairing


def process_sub_runs(_app: Any, scan: Scan, _now: datetime, report: SweepReport) -> None:
    """Process what a crash, or an action on a large run, has kept from being done about sub-runs."""
    for node, run in ended_sub_runs(scan):
        with repairing(f"node {node.id}", report):
            if run is not None:
                report.ended += end_waiting_node_now(run)
            else:
                fail_waiting_node_now(node, RunNotFound(f"the run for which node {node.id} waited was deleted"))
                report.ended += 1
    for sub_run in abandoned_sub_runs(scan):
        with repairing(f"run {sub_run.run_id}", report):
            report.stopped += stop_sub_run_now(sub_run)
