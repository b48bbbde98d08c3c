"""Send lost messages again.

A message has left its queue if the queue is empty, or if a message that was sent later to the same queue has been
delivered already, because queues are first in, first out. It is lost if no live worker holds it then, which is known
after the next heartbeat of each. If neither can be found out, it counts as lost after ``RESEND_BLINDLY_AFTER`` seconds.
There may still be two messages for one attempt; the second to arrive is ignored.
"""

import logging
from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any
from uuid import UUID

from django_tasktree.builder.routes import Target, target_of
from django_tasktree.conf import settings
from django_tasktree.dispatch.after_commit import process_deferred, publish_now
from django_tasktree.dispatch.capacities import capacity_of, messages_for_all, queue_of
from django_tasktree.dispatch.publisher import unreachable
from django_tasktree.dispatch.shared_messages import each_for
from django_tasktree.encoding import serialization, times
from django_tasktree.engine.heartbeats import Holdings, holdings
from django_tasktree.engine.lifecycle.claim import defer_claim
from django_tasktree.engine.lifecycle.take import active_carriers
from django_tasktree.engine.recovery import lanes
from django_tasktree.engine.recovery.messages import (
    LONG_AGO,
    Waiting,
    fix_eta,
    mark_resent,
    newest_started,
    waiting,
)
from django_tasktree.engine.recovery.scan import Scan
from django_tasktree.engine.types import Dispatch, NodeRef
from django_tasktree.recovery.departures import Departures
from django_tasktree.recovery.queues import Queues
from django_tasktree.recovery.report import SweepReport, repairing

logger = logging.getLogger(__name__)


def resend_lost(app: Any, scan: Scan, now: datetime, report: SweepReport) -> None:
    """Send the lost messages of nodes that wait for a worker again; put nodes back that may not start now."""
    if app.conf.task_always_eager:
        return
    try:
        with Queues(app) as queues:
            detector = _LostMessageDetector(app, queues, scan, now)
            for page in waiting(scan, now):
                _put_back([node for node in page if not node.may_start], report)
                lost = detector.lost([node for node in page if node.may_start])
                _resend(lost, now, report)
    except unreachable(app) as exc:
        report.errors += 1
        logger.warning("the broker can't be reached (%r): the next pass looks for lost messages again", exc)


def _put_back(waiting_nodes: Iterable[Waiting], report: SweepReport) -> None:
    for dispatch in [node.dispatch for node in waiting_nodes]:
        with repairing(f"node {dispatch.id}", report):
            node = NodeRef.of(dispatch)
            process_deferred(node, defer_claim(node))
            report.deferred += 1


def _resend(lost: list[Waiting], now: datetime, report: SweepReport) -> None:
    if not lost:
        return
    marked = mark_resent(lost, now)
    report.resent += len(marked)
    logger.warning("sending %d lost message(s) again", len(marked))
    by_run: dict[Any, list[Dispatch]] = {}
    for dispatch in marked:
        by_run.setdefault(dispatch.run_id, []).append(dispatch)
    for run_id, dispatches in by_run.items():
        with repairing(f"run {run_id}", report):
            publish_now(run_id, dispatches)


class _LostMessageDetector:
    """Decides which messages are lost."""

    def __init__(self, app: Any, queues: Queues, scan: Scan, now: datetime) -> None:
        self._app = app
        self._queues = queues
        self._now = now
        self._targets: dict[tuple[str, str], Target] = {}
        self._delivered: dict[Target, datetime] | None = None
        self._scan = scan
        self._left: dict[Target, datetime] = {}
        self._lanes: set[tuple[UUID, str]] = set()

    def lost(self, waiting_nodes: Iterable[Waiting]) -> list[Waiting]:
        """Return those of some waiting nodes for which a message is to be sent.

        Raises:
            OperationalError: if the broker can't be reached.
        """
        found = []
        by_lane: dict[tuple[UUID, str], list[Waiting]] = {}
        for node in waiting_nodes:
            if node.dispatch.lane:
                by_lane.setdefault((node.dispatch.run_id, node.dispatch.lane), []).append(node)
            elif self._is_lost(node):
                found.append(node)
        for (run_id, lane), nodes in by_lane.items():
            if (run_id, lane) not in self._lanes:
                self._lanes.add((run_id, lane))
                found += nodes[:: each_for(nodes[0].dispatch.task)][: self._missing_in(run_id, lane, nodes[0])]
        return found

    def _missing_in(self, run_id: UUID, lane: str, node: Waiting) -> int | None:
        """Return how many messages to send for a lane; None: one for each node.

        Most nodes of a lane wait without a message of their own; see :mod:`django_tasktree.dispatch.shared_messages`.
        """
        if lanes.has_started_lately(run_id, lane, self._now) or lanes.has_one_of(run_id, lane, self._holdings.task_ids):
            return self._idle_in(run_id, lane, node)
        newest = lanes.newest_if_late(run_id, lane, self._now)
        if newest is None or not self._is_lost(newest):
            return 0
        return messages_for_all(lane)

    def _idle_in(self, run_id: UUID, lane: str, node: Waiting) -> int:
        """Return for how many processes no message of a lane is on its way.

        Their worker has started meanwhile, or the messages that would have reached them have been used up, while all
        others are held by workers whose processes run long task functions.
        """
        capacity = capacity_of(lane)
        if capacity is None:
            return 0
        without_message = self._holdings.idle.get(queue_of(lane), 0)
        idle = min(without_message, capacity - active_carriers(run_id, lane))
        if idle <= 0 or self._depth(self._target(node.dispatch.task, node.dispatch.options)) != 0:
            return 0
        return idle

    def _is_lost(self, node: Waiting) -> bool:
        """Return whether the message of a node that waits for a worker counts as lost."""
        if self._waits_for_its_countdown(node) or self._is_held(node):
            return False
        target = self._target(node.dispatch.task, node.dispatch.options)
        if target not in self._left:
            self._left[target] = self._left_until(target)
        if node.since < self._left[target]:
            return True
        depth = self._depth(target)
        return not depth and self._is_older(node, settings.resend_blindly_after)

    def _left_until(self, target: Target) -> datetime:
        """Return the time before which all messages have left a queue and those that a worker holds are known."""
        if target.queue is None:
            return LONG_AGO
        grace = timedelta(seconds=settings.resend_after)
        left = self._departures.accounted_for(f"{target.queue}|{target.priority}", self._delivered_last(target) - grace)
        if self._depth(target) == 0:
            left = max(left, self._departures.accounted_for(target.queue, times.instant(self._now)))
        return left

    @cached_property
    def _holdings(self) -> Holdings:
        return holdings(self._now)

    @cached_property
    def _departures(self) -> Departures:
        return Departures(self._scan, self._holdings.oldest_heartbeat)

    def _depth(self, target: Target) -> int | None:
        return None if target.queue is None else self._queues.depth(target.queue)

    def _is_older(self, node: Waiting, seconds: float) -> bool:
        return times.elapsed(node.since, self._now) > timedelta(seconds=seconds)

    def _is_held(self, node: Waiting) -> bool:
        """Return whether a live worker holds the message, for at most ``RESEND_BLINDLY_AFTER`` seconds."""
        return str(node.dispatch.task_id) in self._holdings.task_ids and not self._is_older(
            node, settings.resend_blindly_after
        )

    def _waits_for_its_countdown(self, node: Waiting) -> bool:
        """Store a countdown or eta of the message options in the row, so that no pass looks before the node is due."""
        if node.dispatch.eta is not None:
            return False
        due = _due(node)
        if due is None:
            return False
        fix_eta(node.dispatch.id, node.dispatch.task_id, due)
        return times.elapsed(due, self._now) < timedelta(seconds=settings.resend_after)

    def _delivered_last(self, target: Target) -> datetime:
        if self._delivered is None:
            self._delivered = {}
            for task, options, queued_at in newest_started():
                key = self._target(task, options)
                at = times.instant(queued_at)
                self._delivered[key] = max(at, self._delivered.get(key, at))
        return self._delivered.get(target, LONG_AGO)

    def _target(self, task: str, options: str) -> Target:
        if (task, options) not in self._targets:
            self._targets[task, options] = target_of(self._app, task, serialization.loads(options))
        return self._targets[task, options]


def _due(node: Waiting) -> datetime | None:
    options = serialization.loads(node.dispatch.options)
    if options.get("countdown") is not None:
        return times.after(node.since, options["countdown"])
    eta = options.get("eta")
    return None if eta is None else times.as_stored(eta)
