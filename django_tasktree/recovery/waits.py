"""End the waits whose time or event has come, announce those that were not announced, and send reminders."""

import logging
from datetime import datetime
from typing import Any

from django_tasktree.dispatch.wait_ends import (
    begin_waits_now,
    end_wait_if_due_now,
    end_waits_by_event_now,
    remind_now,
)
from django_tasktree.engine.recovery.scan import Scan
from django_tasktree.engine.recovery.waits import FoundWaits, waits_to_process
from django_tasktree.recovery.report import SweepReport, repairing

logger = logging.getLogger(__name__)


def process_waits(_app: Any, scan: Scan, now: datetime, report: SweepReport) -> None:
    """Process the nodes that wait: their time-outs and reminders, and what a crash has kept from being done."""
    for found in waits_to_process(scan, now):
        _end(found, report)
        _announce(found, report)


def _end(found: FoundWaits, report: SweepReport) -> None:
    for wait in found.due:
        with repairing(f"node {wait.node.id}", report):
            report.expired += end_wait_if_due_now(wait)
    for run_id, event in found.events:
        with repairing(f"event {event!r} of run {run_id}", report):
            report.answered += end_waits_by_event_now(run_id, event)


def _announce(found: FoundWaits, report: SweepReport) -> None:
    for run_id, node_id in found.unannounced:
        with repairing(f"node {node_id}", report):
            begin_waits_now(run_id, [node_id])
            report.announced += 1
    for wait in found.reminders:
        with repairing(f"node {wait.node.id}", report):
            remind_now(wait)
            report.reminded += 1
