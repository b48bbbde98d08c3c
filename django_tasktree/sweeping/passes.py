"""One pass of the sweep: each kind of damage in turn, as far as the pass may go."""

import logging
import time
from collections.abc import Callable
from typing import Any

from celery import current_app

from django_tasktree.engine.clock import database_now
from django_tasktree.engine.sweep import lease
from django_tasktree.engine.sweep.pages import Walk
from django_tasktree.engine.workers import forget
from django_tasktree.purging import purge_by_retention
from django_tasktree.sweeping.due import mind_the_time
from django_tasktree.sweeping.mending import mending
from django_tasktree.sweeping.messages import resend_lost
from django_tasktree.sweeping.orphans import take_over
from django_tasktree.sweeping.stuck import unstick
from django_tasktree.sweeping.swept import Swept
from django_tasktree.worker.keeper import Keeper

logger = logging.getLogger(__name__)

#: So many pages of each kind does a worker look at in one pass, for at most so many seconds.
MOST_PAGES = 20
LONGEST = 20


def _forget_workers(_app: Any, _walk: Walk, now: Any, _swept: Swept) -> None:
    forget(now)


def _purge(_app: Any, walk: Walk, _now: Any, swept: Swept) -> None:
    with mending("the retention of old runs", swept):
        purged = purge_by_retention(walk)
        swept.purged += purged.runs
        for kept in purged.kept:
            if kept.error is None:
                logger.info("run %s is kept: %s", kept.run_id, kept.reason)
            else:
                swept.errors += 1
                logger.error("run %s could not be deleted: %s", kept.run_id, kept.reason, exc_info=kept.error)


#: What a pass does, in this order: what runs wait for comes first.
_STEPS: tuple[Callable[[Any, Walk, Any, Swept], None], ...] = (
    take_over,
    unstick,
    mind_the_time,
    resend_lost,
    _forget_workers,
    _purge,
)


def sweep(app: Any = None, walk: Walk | None = None) -> Swept:
    """Make one pass.

    Args:
        app: the Celery application; by default the current one.
        walk: how far to look; by default at everything.

    Returns:
        What was mended.
    """
    app = app or current_app
    walk = walk or Walk()
    swept = Swept()
    now = database_now()
    for step in _STEPS:
        step(app, walk, now, swept)
    if swept:
        logger.warning("the sweep has mended: %s", swept)
    return swept


def sweep_if_due(keeper: Keeper) -> None:
    """Make a bounded pass if one is due, and no other worker is at it.

    Args:
        keeper: of the worker; its heartbeat goes on meanwhile.
    """
    me = keeper.describe().id
    cursors = lease.take(me)
    if cursors is None:
        return
    end = time.monotonic() + LONGEST

    def between() -> bool:
        keeper.beat_if_due()
        return not keeper.stopping.is_set() and time.monotonic() < end

    walk = Walk(cursors, MOST_PAGES, between)
    sweep(keeper.app, walk)
    lease.release(me, walk.cursors)
