"""Send messages that were lost again.

A message counts as lost where its queue is empty; or where a message that was sent later to the same queue has been
delivered already, for queues are first in, first out. A message that a living worker says it holds is not lost, for a
limited time. All the same two messages may be under way for one attempt; the second to arrive is void.
"""

import logging
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django_tasktree import serialization, times
from django_tasktree.conf import settings
from django_tasktree.engine.park import park
from django_tasktree.engine.specs import Dispatch
from django_tasktree.engine.sweep.pages import Walk
from django_tasktree.engine.sweep.waiting import Waiting, fix_eta, mark_resent, newest_started, waiting
from django_tasktree.engine.workers import held_task_ids
from django_tasktree.sweeping.mending import mending
from django_tasktree.sweeping.queues import Queues, Target, target_of
from django_tasktree.sweeping.swept import Swept
from django_tasktree.worker.follow import publish_now
from django_tasktree.worker.message import ref_of
from django_tasktree.worker.publisher import unreachable

logger = logging.getLogger(__name__)

_NEVER = datetime.min.replace(tzinfo=times.UTC)


def resend_lost(app: Any, walk: Walk, now: datetime, swept: Swept) -> None:
    """Send the messages of nodes that wait for a worker again, where they are lost."""
    if app.conf.task_always_eager:
        return
    try:
        with Queues(app) as queues:
            judge = _Judge(app, queues, now)
            for page in waiting(walk, now):
                _park([found for found in page if not found.may_start], swept)
                lost = [found for found in page if found.may_start and judge.has_lost(found)]
                _resend(lost, now, swept)
    except unreachable(app) as exc:
        swept.errors += 1
        logger.warning("the broker can't be reached (%r): lost messages are looked for later", exc)


def _park(found: Iterable[Waiting], swept: Swept) -> None:
    for dispatch in [one.dispatch for one in found]:
        with mending(f"node {dispatch.id}", swept):
            parked = park(ref_of(dispatch))
            publish_now(dispatch.run_id, parked.dispatches)
            swept.parked += 1


def _resend(lost: list[Waiting], now: datetime, swept: Swept) -> None:
    if not lost:
        return
    marked = mark_resent(lost, now)
    swept.resent += len(marked)
    logger.warning("%d message(s) were lost, and are sent again", len(marked))
    by_run: dict[Any, list[Dispatch]] = {}
    for dispatch in marked:
        by_run.setdefault(dispatch.run_id, []).append(dispatch)
    for run_id, dispatches in by_run.items():
        with mending(f"run {run_id}", swept):
            publish_now(run_id, dispatches)


class _Judge:
    """Tells which messages are lost."""

    def __init__(self, app: Any, queues: Queues, now: datetime) -> None:
        self._app = app
        self._queues = queues
        self._now = now
        self._targets: dict[tuple[str, str], Target] = {}
        self._delivered: dict[Target, datetime] | None = None
        self._held: set[str] | None = None

    def has_lost(self, found: Waiting) -> bool:
        """Whether a node's message is lost, as far as one can tell."""
        if self._waits_for_its_countdown(found) or self._is_held(found):
            return False
        target = self._target(found.dispatch.task, found.dispatch.options)
        depth = None if target.queue is None else self._queues.depth(target.queue)
        if depth == 0:
            return True
        grace = timedelta(seconds=settings.resend_after)
        if target.queue is not None and self._delivered_last(target) > found.since + grace:
            return True
        return depth is None and self._is_older(found, settings.resend_blindly_after)

    def _is_older(self, found: Waiting, seconds: float) -> bool:
        return times.elapsed(found.since, self._now) > timedelta(seconds=seconds)

    def _is_held(self, found: Waiting) -> bool:
        """Return whether a living worker has the message, and waits for a free process; not for ever."""
        if self._is_older(found, settings.resend_blindly_after):
            return False
        if self._held is None:
            self._held = held_task_ids(self._now)
        return str(found.dispatch.task_id) in self._held

    def _waits_for_its_countdown(self, found: Waiting) -> bool:
        """Write a countdown, or an eta among the options, into the row, so that nobody looks before it is due."""
        if found.dispatch.eta is not None:
            return False
        due = _due(found)
        if due is None:
            return False
        fix_eta(found.dispatch.id, found.dispatch.task_id, due)
        return times.elapsed(due, self._now) < timedelta(seconds=settings.resend_after)

    def _delivered_last(self, target: Target) -> datetime:
        if self._delivered is None:
            self._delivered = {}
            for task, options, queued_at in newest_started():
                key = self._target(task, options)
                at = times.instant(queued_at)
                self._delivered[key] = max(at, self._delivered.get(key, at))
        return self._delivered.get(target, _NEVER)

    def _target(self, task: str, options: str) -> Target:
        if (task, options) not in self._targets:
            self._targets[task, options] = target_of(self._app, task, serialization.loads(options))
        return self._targets[task, options]


def _due(found: Waiting) -> datetime | None:
    options = serialization.loads(found.dispatch.options)
    if options.get("countdown") is not None:
        return times.after(found.since, options["countdown"])
    eta = options.get("eta")
    return None if eta is None else times.as_stored(eta)
