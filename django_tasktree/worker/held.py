"""The messages of nodes that this worker has received and not ended.

Celery's own table has one entry for each task id. A second message with the same id, which a broker may deliver at any
time, takes the place of the first, and its end removes the entry although the first is still running. Celery also
clears its set of reserved requests when the broker's connection is lost. So the requests themselves are kept here.
"""

import os
from itertools import count, islice
from threading import Lock
from typing import Any
from weakref import WeakValueDictionary

from celery.worker import state
from celery.worker.request import Request

#: So many task ids at most go into a worker's row.
MOST_HELD = 1000

_lock = Lock()
_numbers = count()
# In the order of receipt. Weak: Celery drops requests that have not started when the broker's connection is lost.
_requests: WeakValueDictionary[int, Any] = WeakValueDictionary()


def hold(request: Any) -> None:
    """Add a request that the worker has received."""
    with _lock:
        _requests[next(_numbers)] = request


def held_requests() -> list[Any]:
    """Return the requests that have not ended, in the order of receipt."""
    with _lock:
        return [request for request in _requests.values() if not request.has_ended]


def held_task_ids() -> set[str]:
    """Return the task ids of the requests that have not ended, and whose process has not either."""
    return {request.id for request in _living_requests()}


def _living_requests() -> list[Any]:
    return [request for request in held_requests() if not _has_lost_its_process(request)]


def held_for_row(processes: int) -> list[str]:
    """Return the task ids that the worker's row shows: those of the oldest requests that have a reason to wait.

    A pool with a free process starts at once what there is. What waits there all the same may wait for ever: a pool
    can lose jobs, or start nothing any more, when one of its processes is killed. It is not shown, so that the sweep
    sends it again.

    Args:
        processes: how many tasks the pool runs at once.
    """
    held = _living_requests()
    # Celery clears its set when the broker's connection is lost, and knows the tasks that are no nodes.
    others = [request for request in _active_requests() if not _has_lost_its_process(request)]
    running = {id(request) for request in (*others, *filter(_has_started, held))}
    is_busy = len(running) >= processes
    waiting = (request.id for request in held if is_busy or _has_started(request) or _is_limited(request))
    return list(islice(dict.fromkeys(waiting), MOST_HELD))


def _active_requests() -> list[Any]:
    """Copy Celery's set, to which the main thread adds meanwhile."""
    while True:
        try:
            return list(state.active_requests)
        except RuntimeError:  # noqa: PERF203
            # It has changed during the iteration.
            continue


def _has_started(request: Any) -> bool:
    return request.worker_pid is not None


def _has_lost_its_process(request: Any) -> bool:
    """Return whether the process that runs a body has exited, whatever Celery knows: its main thread may hang."""
    return request.worker_pid is not None and has_exited(request.worker_pid)


def has_exited(pid: int) -> bool:
    """Return whether a child process has exited; False where the system can't tell, or the process is this one."""
    if pid == os.getpid() or not hasattr(os, "waitid"):
        return False
    try:
        # Its exit status stays there for Celery.
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return True


def _is_limited(request: Any) -> bool:
    """Return whether a message waits for the rate limit of its task."""
    return bool(request.task.rate_limit)


def restore_entry(task_id: str) -> None:
    """Put a request back into Celery's table after the end of another one with its task id has removed it.

    Celery finds what it is to terminate in that table.
    """
    for request in held_requests():
        if request.id == task_id and isinstance(request, Request):
            state.requests.setdefault(task_id, request)
