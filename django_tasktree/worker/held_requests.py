"""The requests of nodes that this worker has received and that have not ended.

Celery's table of requests has one entry for each task ID. A second message with the same ID, which a broker may deliver
at any time, replaces the first, and the end of the second removes the entry although the first is still running.
Celery also clears its set of reserved requests when the connection to the broker is lost. So this module keeps the
requests itself.
"""

import os
import time
from itertools import count, islice
from threading import Lock
from typing import Any
from weakref import WeakValueDictionary

from celery.worker import state
from celery.worker.request import Request

from django_tasktree.conf import settings

#: The maximum number of task IDs in a worker's row.
MAX_HELD = 1000

_lock = Lock()
_numbers = count()
# In the order of receipt. The references are weak, because Celery drops requests that have not started when the
# connection to the broker is lost.
_requests: WeakValueDictionary[int, Any] = WeakValueDictionary()


def hold(request: Any) -> None:
    """Add a request that the worker has received.

    Args:
        request: the request; only a weak reference to it is kept. It has the attributes of ``NodeRequest``.
    """
    with _lock:
        _requests[next(_numbers)] = request


def held_requests() -> list[Any]:
    """Return the requests that have not ended, in the order of receipt."""
    with _lock:
        return [request for request in _requests.values() if not request.has_ended]


def held_task_ids() -> set[str]:
    """Return the task IDs of the requests that have not ended and whose process, if any, has not exited."""
    return {request.id for request in _living_requests()}


def _living_requests() -> list[Any]:
    return [request for request in held_requests() if not _has_lost_its_process(request)]


def held_for_row(processes: int) -> list[str]:
    """Return the task IDs for the worker's row: the oldest requests that are running or have a reason to wait.

    A pool with a free process soon starts a waiting request. If a request waits there for ``RESEND_AFTER`` seconds all
    the same, it may wait forever: when one of its processes is killed, a pool can lose jobs, or start none any more.
    Such a request is not listed, so that the sweep sends its message again.

    Args:
        processes: how many tasks the pool runs at the same time.

    Returns:
        At most ``MAX_HELD`` task IDs.
    """
    held = _living_requests()
    # Celery's set also has the tasks that are not nodes, but Celery clears it when the connection to the broker breaks.
    others = [request for request in _active_requests() if not _has_lost_its_process(request)]
    running = {id(request) for request in (*others, *filter(_has_started, held))}
    is_busy = len(running) >= processes
    listed = (request.id for request in held if is_busy or _has_started(request) or _has_reason_to_wait(request))
    return list(islice(dict.fromkeys(listed), MAX_HELD))


def _active_requests() -> list[Any]:
    """Return a copy of Celery's set, which the main thread may change during the iteration."""
    while True:
        try:
            return list(state.active_requests)
        except RuntimeError:  # noqa: PERF203
            # The set has changed during the iteration.
            continue


def _has_started(request: Any) -> bool:
    return request.worker_pid is not None


def _has_lost_its_process(request: Any) -> bool:
    """Return whether the process of a request has exited; Celery may not know it, because its main thread hangs."""
    return request.worker_pid is not None and has_exited(request.worker_pid)


def has_exited(pid: int) -> bool:
    """Return whether a child process has exited; False for this process, and on systems without ``waitid``."""
    if pid == os.getpid() or not hasattr(os, "waitid"):
        return False
    try:
        # WNOWAIT leaves the exit status for Celery.
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return True


def _has_reason_to_wait(request: Any) -> bool:
    """Return whether a message has just arrived, or may wait for the rate limit of its task."""
    return time.monotonic() - request.received_at < settings.resend_after or bool(request.task.rate_limit)


def restore_entry(task_id: str) -> None:
    """Put a running request back into Celery's table after another request with the same task ID has ended.

    Celery uses the table to find the requests to terminate.
    """
    for request in held_requests():
        if request.id == task_id and isinstance(request, Request):
            state.requests.setdefault(task_id, request)
