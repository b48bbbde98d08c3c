"""Wait for a change in the database: poll at growing intervals, and immediately when the run is known to have ended.

A run's end is known at once in the process that stored it, and on PostgreSQL in processes that listen.
"""

import asyncio
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar
from uuid import UUID

from asgiref.sync import sync_to_async
from celery import result as celery_result
from django.db import connections

from django_tasktree.client.listener import listen
from django_tasktree.client.sleepers import sleeping
from django_tasktree.conf import settings
from django_tasktree.engine.transitions import write_alias
from django_tasktree.exceptions import WaitTimeout

T = TypeVar("T")

#: The interval between polls, as a share of the time waited so far; also the maximum relative delay of noticing an end.
_SHARE = 0.05
#: How many times as long the intervals are for those who are notified anyway.
_LONGER = 10


@dataclass(frozen=True)
class Awaited(Generic[T]):
    """What a caller waits for.

    Attributes:
        look: queries the database; returns None if there is nothing yet.
        what: its name, for error messages: ``"run 01a2…"``.
        run_id: returns the ID of the run by whose end the wait ends; None if it is not known yet.
        is_run: whether nothing but the end of this run ends the wait.
    """

    look: Callable[[], T | None]
    what: str
    run_id: Callable[[], UUID | None] = lambda: None
    is_run: bool = False


def wait_for(awaited: Awaited[T], timeout: float | None) -> T:
    """Poll until there is something, and return it.

    Args:
        awaited: what to wait for.
        timeout: maximum waiting time in seconds; None waits without a limit.

    Raises:
        WaitTimeout: there was nothing until the timeout.
        RuntimeError: called inside a task, which Celery forbids (see ``celery.result.allow_join_result``).
    """
    _refuse_inside_tasks()
    started = time.monotonic()
    woken = threading.Event()
    with sleeping(awaited.run_id, woken.set):
        while (value := awaited.look()) is None:
            woken.wait(_pause(awaited, started, timeout))
            woken.clear()
    return value


async def await_for(awaited: Awaited[T], timeout: float | None) -> T:
    """Do the same as :func:`wait_for` without blocking the event loop."""
    _refuse_inside_tasks()
    started = time.monotonic()
    woken = asyncio.Event()
    look: Any = sync_to_async(awaited.look)
    with sleeping(awaited.run_id, partial(_set, woken, asyncio.get_running_loop())):
        while (value := await look()) is None:
            pause = _pause(awaited, started, timeout)
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(woken.wait(), pause)
            woken.clear()
    result: T = value
    return result


def _set(woken: asyncio.Event, loop: asyncio.AbstractEventLoop) -> None:
    # The loop may be closed before its coroutines are: nobody waits there any more.
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(woken.set)


def _refuse_inside_tasks() -> None:
    # Celery's rule: waiting for a task inside a task may exhaust the pool.
    celery_result.assert_will_not_block()  # type: ignore[attr-defined]


def _pause(awaited: Awaited[Any], started: float, timeout: float | None) -> float:
    waited = time.monotonic() - started
    if timeout is not None and waited >= timeout:
        raise WaitTimeout(f"{awaited.what} had not ended after {timeout:g} s; {_what_continues()}")
    pause = min(max(settings.wait_interval, waited * _SHARE), settings.wait_interval_max)
    if listen(pause, pause * _LONGER) and awaited.is_run:
        pause *= _LONGER
    return pause if timeout is None else min(pause, timeout - waited)


def _what_continues() -> str:
    alias = write_alias()
    if not connections[alias].in_atomic_block:
        return "it continues"
    return (
        f"a transaction is open on database {alias!r}, and messages are sent only when it commits: "
        "wait for a run outside the transaction that launches it"
    )
