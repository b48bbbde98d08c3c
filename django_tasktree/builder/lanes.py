"""The lane of a node: which worker processes may run it without a message of its own.

A worker process that has finished the node of a message *takes* more queued nodes of the same lane of the run. So a
lane names all that must be equal for this: the queue, the priority and the time limits of the messages; or, if the
function of the task is called for several nodes at once, the queue, the priority and the task.
"""

from collections.abc import Mapping
from typing import Any

from celery import current_app
from celery.app.routes import MapRoute

from django_tasktree.builder.atomicity import atomic_alias
from django_tasktree.builder.chunks import MARK, chunk_lane, chunk_size
from django_tasktree.builder.routes import leaves_sending_to_celery, target_of
from django_tasktree.conf import settings
from django_tasktree.states import OnWorkerLost

#: The length of the column. A node whose lane has a longer name has a message of its own.
LANE_LENGTH = 100
#: The lane of nodes that always have a message of their own.
NO_LANE = ""
_LIMITS = ("time_limit", "soft_time_limit")
#: Message options that do not keep a node from being taken: they change nothing but the lane.
_HARMLESS = frozenset(
    {
        *("queue", "priority", "ignore_result", "shadow", "serializer", "max_deliveries", "on_worker_lost"),
        *_LIMITS,
    }
)
#: A node may share a message if its time limits are at least this many times the time of a message. They count from the
#: start of the message, so they are shorter by one part in this many, at most.
_TIMES = 20


def lane_of(task_name: str, options: Mapping[str, Any], *, is_limited: bool) -> str:
    """Return the lane of a node.

    Args:
        task_name: the name of the task.
        options: the message options of the node.
        is_limited: whether the node counts towards a limit of active nodes.

    Returns:
        :data:`NO_LANE` if the node must have a message of its own: it is under a limit, its message has a time (eta,
        expiry, rate limit, or a time limit of a few seconds), its task may not run twice or is atomic, it opted out
        with ``share_message=False``, or its task or queue is not known in this process. If its task has
        ``chunk``, the function is called for this node alone.
    """
    task = current_app.tasks.get(task_name)
    if is_limited or task is None or not _may_share(task, options):
        return NO_LANE
    target = target_of(current_app, task_name, dict(options))
    if target.queue is None or MARK in target.queue:
        return NO_LANE
    lane = target.queue if target.priority is None else f"{target.queue}{MARK}{target.priority}"
    limits = time_limits(task, options)
    if chunk_size(task) == 1 and any(limits):
        # Celery's worker knows the limits of the message only.
        lane += f"{MARK}limits {limits[0]} {limits[1]}"
    if chunk_size(task) > 1:
        lane = chunk_lane(lane, task_name, LANE_LENGTH)
    return lane if len(lane) <= LANE_LENGTH else NO_LANE


def _may_share(task: Any, options: Mapping[str, Any]) -> bool:
    has_chunks = chunk_size(task) > 1
    # The nodes of a chunk share a message, even if their process takes no further nodes after it.
    shares = options.get("share_message", has_chunks or getattr(task, "share_message", False))
    on_worker_lost = options.get("on_worker_lost") or getattr(task, "on_worker_lost", OnWorkerLost.RETRY)
    if (
        not shares
        or not (has_chunks or settings.share_message_for)
        or not _is_routed_by_name(task.app)
        or not leaves_sending_to_celery(task)
        or on_worker_lost != OnWorkerLost.RETRY
        or atomic_alias(task) is not None
    ):
        return False
    if has_chunks:
        # Time limits of the task count for a call of its function.
        has_limits = any(options.get(name) for name in _LIMITS)
    else:
        has_limits = task.rate_limit or _has_short_limits(task, options)
    return not has_limits and not task.expires and _HARMLESS.issuperset(options.keys() - {"share_message"})


def time_limits(task: Any, options: Mapping[str, Any]) -> tuple[float | None, float | None]:
    """Return the hard and the soft time limit of a node, in seconds; None for no limit."""
    return options.get("time_limit") or task.time_limit, options.get("soft_time_limit") or task.soft_time_limit


def _has_short_limits(task: Any, options: Mapping[str, Any]) -> bool:
    hard, soft = time_limits(task, options)
    # A worker's defaults, unless its command line overrides them.
    limits = (hard or task.app.conf.task_time_limit, soft or task.app.conf.task_soft_time_limit)
    return any(limit is not None and limit < _TIMES * settings.share_message_for for limit in limits)


class Lanes:
    """The lanes of many nodes; nodes with the same task and message options have the same lane."""

    def __init__(self) -> None:
        self._known: dict[tuple[Any, ...], str] = {}

    def of(self, task: str, options: Mapping[str, Any], *, is_limited: bool) -> str:
        """Return the lane of a node; see :func:`lane_of`."""
        key = (task, is_limited, *sorted((name, repr(value)) for name, value in options.items()))
        if key not in self._known:
            self._known[key] = lane_of(task, options, is_limited=is_limited)
        return self._known[key]


def _is_routed_by_name(app: Any) -> bool:
    """Return whether the queue depends on the name of the task only: a router function may look at the arguments."""
    return all(isinstance(route, MapRoute) for route in app.amqp.router.routes or ())
