"""End the waits whose time or event has come, announce those that were not announced, and send reminders."""

import logging
from datetime import datetime
from typing import Any
from uuid import UUID

from django_tasktree.dispatch.wait_ends import (
    begin_waits_now,
    end_due_waits_now,
    end_waits_by_event_now,
    remind_now,
)
from django_tasktree.engine.recovery.scan import Scan
from django_tasktree.engine.recovery.waits import FoundWaits, due_waits, waits_to_process
from django_tasktree.recovery.report import SweepReport, repairing

logger = logging.getLogger(__name__)


def process_waits(_app: Any, scan: Scan, now: datetime, report: SweepReport) -> None:
    """Process the nodes that wait: their timeouts and reminders, and what a crash has kept from being done."""
    for due in due_waits(scan, now):
        _end_by_events(due.events, report)
        for run_id, waits in due.by_run.items():
            with repairing(f"{len(waits)} waits of run {run_id}", report):
                report.expired += end_due_waits_now(run_id, waits)
    for found in waits_to_process(scan, now):
        _end_by_events(found.events, report)
        _announce(found, report)


def _end_by_events(events: list[tuple[UUID, str]], report: SweepReport) -> None:
    for run_id, event in events:
        with repairing(f"event {event!r} of run {run_id}", report):
            report.answered += end_waits_by_event_now(run_id, event)


def _announce(found: FoundWaits, report: SweepReport) -> None:
    for run_id, node_id in found.unannounced:
        with repairing(f"node {node_id}", report):
            begin_waits_now(run_id, [node_id])
            report.announced += 1
    for wait, number in found.reminders:
        with repairing(f"node {wait.node.id}", report):
            remind_now(wait, number)
            report.reminded += 1
