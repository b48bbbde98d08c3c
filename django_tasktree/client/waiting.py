"""Wait for a change in the database: poll at growing intervals, and immediately when a run ends in this process."""

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar
from weakref import WeakSet

from asgiref.sync import sync_to_async
from celery import result as celery_result
from django.db import connections

from django_tasktree.conf import settings
from django_tasktree.engine.transitions import write_alias
from django_tasktree.exceptions import WaitTimeout
from django_tasktree.signals import run_finished

T = TypeVar("T")

#: The interval between polls, as a share of the time waited so far; also the maximum relative delay of noticing an end.
_SHARE = 0.05

_sleepers: "WeakSet[threading.Event]" = WeakSet()


def wait_for(look: Callable[[], T | None], timeout: float | None, what: str) -> T:
    """Poll until a function returns something other than None, and return it.

    Args:
        look: queries the database; returns None if there is nothing yet.
        timeout: maximum waiting time in seconds; None waits without a limit.
        what: the name of what is waited for, for the error message: ``"run 01a2…"``.

    Raises:
        WaitTimeout: the function returned only None until the timeout.
        RuntimeError: called inside a task, which Celery forbids (see ``celery.result.allow_join_result``).
    """
    _refuse_inside_tasks()
    started = time.monotonic()
    woken = threading.Event()
    _sleepers.add(woken)
    while (value := look()) is None:
        woken.wait(_pause(started, timeout, what))
        woken.clear()
    return value


async def await_for(look: Callable[[], T | None], timeout: float | None, what: str) -> T:
    """Do the same as :func:`wait_for` without blocking the event loop, but by polling only."""
    _refuse_inside_tasks()
    started = time.monotonic()
    look_async: Any = sync_to_async(look)
    while (value := await look_async()) is None:
        await asyncio.sleep(_pause(started, timeout, what))
    result: T = value
    return result


def _refuse_inside_tasks() -> None:
    # Celery's rule: waiting for a task inside a task may exhaust the pool.
    celery_result.assert_will_not_block()  # type: ignore[attr-defined]


def _pause(started: float, timeout: float | None, what: str) -> float:
    waited = time.monotonic() - started
    pause: float = min(max(settings.wait_interval, waited * _SHARE), settings.wait_interval_max)
    if timeout is None:
        return pause
    if waited >= timeout:
        raise WaitTimeout(f"{what} had not ended after {timeout:g} s; {_what_continues()}")
    return min(pause, timeout - waited)


def _what_continues() -> str:
    alias = write_alias()
    if not connections[alias].in_atomic_block:
        return "it continues"
    return (
        f"a transaction is open on database {alias!r}, and messages are sent only when it commits: "
        "wait for a run outside the transaction that launches it"
    )


def _wake(**_: Any) -> None:
    for sleeper in list(_sleepers):
        sleeper.set()


run_finished.connect(_wake, dispatch_uid="django_tasktree.client.waiting")
