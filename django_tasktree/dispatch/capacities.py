"""How many worker processes consume a queue, as far as is known: so many messages are useful at the same time."""

import threading
import time
from typing import Any

from celery import current_app

from django_tasktree.builder.chunks import MARK
from django_tasktree.engine.backends import database_now
from django_tasktree.engine.database_retries import retry_transient
from django_tasktree.engine.heartbeats import recently_seen

#: For how many seconds a process remembers how many processes the workers have.
_REMEMBER = 5.0

_lock = threading.Lock()
_capacities: tuple[float, dict[str, int]] = (0.0, {})


def messages_for_all(lane: str) -> int | None:
    """Return how many messages reach all worker processes that consume the queue of a lane.

    A worker fetches several messages for each of its processes in advance, which another worker does not get.

    Returns:
        None if no number of messages is certain to reach them: each node gets one.
    """
    app: Any = current_app
    capacity = capacity_of(lane)
    return None if capacity is None else capacity * (1 + int(app.conf.worker_prefetch_multiplier))


def capacity_of(lane: str) -> int | None:
    """Return how many worker processes consume the queue of a lane.

    Returns:
        None if no worker is known, or if workers fetch messages without a limit.
    """
    app: Any = current_app
    if not app.conf.worker_prefetch_multiplier:
        return None
    return _known().get(queue_of(lane))


def queue_of(lane: str) -> str:
    """Return the name of the queue of a lane."""
    return lane.split(MARK)[0]


def _known() -> dict[str, int]:
    global _capacities
    with _lock:
        until, known = _capacities
    if time.monotonic() < until:
        return known
    known = retry_transient(_read)
    with _lock:
        _capacities = (time.monotonic() + _REMEMBER, known)
    return known


def _read() -> dict[str, int]:
    found: dict[str, int] = {}
    for queues, concurrency in recently_seen(database_now()).values_list("queues", "concurrency"):
        for queue in queues:
            found[queue] = found.get(queue, 0) + (concurrency or 1)
    return found


def forget_workers() -> None:
    """Forget how many processes the workers have."""
    global _capacities
    with _lock:
        _capacities = (0.0, {})
