"""Celery's events of nodes that share a message, for monitors such as Flower. A worker sends them for messages only."""

import logging
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import Any

from celery import states
from celery.utils.serialization import get_pickled_exception
from kombu.utils.encoding import safe_repr, safe_str

logger = logging.getLogger(__name__)

#: The entry of a request: whether its worker sends events of tasks.
KEY = "tasktree_events"

#: The group of events of tasks. A worker without the option ``-E`` sends those of the group "worker" alone.
_GROUP = "task"

_Event = tuple[str, dict[str, Any]]


def stamp_request(request_dict: MutableMapping[str, Any], eventer: Any) -> None:
    """Write into a request whether its worker sends events of tasks, for the pool process that handles it.

    Args:
        request_dict: the request as Celery hands it to the pool; it is changed.
        eventer: the dispatcher of the worker's main process; None if it has none.
    """
    request_dict[KEY] = bool(eventer and eventer.enabled and (not eventer.groups or _GROUP in eventer.groups))


def with_events(app: Any, task: Any, request: Mapping[str, Any], trace: Callable[[], Any]) -> Any:
    """Run an attempt; send the events of its start and its end if the worker sends events.

    Args:
        app: the Celery application.
        task: the task instance.
        request: the request of the attempt.
        trace: calls Celery's tracer, and returns what that returns.
    """
    if not request.get(KEY) or not task.send_events:
        return trace()
    _send(app, request, [("task-received", _described(request)), ("task-started", {})])
    result = trace()
    _send(app, request, _end_of(result))
    return result


def _described(request: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": request["task"],
        "args": request.get("argsrepr"),
        "kwargs": request.get("kwargsrepr"),
        "root_id": request.get("root_id"),
        "parent_id": request.get("parent_id"),
        "retries": request.get("retries", 0),
        "eta": None,
        "expires": None,
    }


def _end_of(result: Any) -> Iterator[_Event]:
    """Yield the event for what a tracer has returned; none for a task that raised Ignore or Reject."""
    value, info, runtime, text = result
    if info is None:
        yield "task-succeeded", {"result": text, "runtime": runtime}
    elif info.state == states.RETRY:
        yield "task-retried", {"exception": safe_repr(info.retval.exc), "traceback": safe_str(value.traceback)}
    elif info.state == states.FAILURE:
        exception = safe_repr(get_pickled_exception(value.exception))
        yield "task-failed", {"exception": exception, "traceback": safe_str(value.traceback)}


def _send(app: Any, request: Mapping[str, Any], events: list[_Event] | Iterator[_Event]) -> None:
    try:
        with app.events.default_dispatcher(hostname=request["hostname"]) as dispatcher:
            for kind, fields in events:
                dispatcher.send(kind, uuid=request["id"], **fields)
    except Exception:
        # The node runs without them, as it does in a worker whose broker is away.
        logger.exception("events of task %s[%s] could not be sent", request["task"], request["id"])
