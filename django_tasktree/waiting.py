"""Wait for something in the database: back-off that grows with the time waited, and a wake-up within the process."""

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar
from weakref import WeakSet

from asgiref.sync import sync_to_async

from django_tasktree.conf import settings
from django_tasktree.exceptions import WaitTimeout
from django_tasktree.signals import run_finished

T = TypeVar("T")

#: A wait looks again after this share of the time waited so far: at most so much later is an end noticed.
_SHARE = 0.05

_sleepers: "WeakSet[threading.Event]" = WeakSet()


def wait_for(look: Callable[[], T | None], timeout: float | None, what: str) -> T:
    """Look until there is something.

    Args:
        look: one look at the database; None: nothing yet.
        timeout: seconds; None waits for ever.
        what: names what is waited for, in the error.

    Raises:
        WaitTimeout: there was nothing in time.
    """
    started = time.monotonic()
    woken = threading.Event()
    _sleepers.add(woken)
    while (found := look()) is None:
        woken.wait(_pause(started, timeout, what))
        woken.clear()
    return found


async def await_for(look: Callable[[], T | None], timeout: float | None, what: str) -> T:
    """The same without blocking the event loop."""
    started = time.monotonic()
    look_async: Any = sync_to_async(look)
    while (found := await look_async()) is None:
        await asyncio.sleep(_pause(started, timeout, what))
    result: T = found
    return result


def _pause(started: float, timeout: float | None, what: str) -> float:
    waited = time.monotonic() - started
    pause: float = min(max(settings.wait_interval, waited * _SHARE), settings.wait_interval_max)
    if timeout is None:
        return pause
    if waited >= timeout:
        raise WaitTimeout(f"{what} had not ended after {timeout:g} s; it goes on")
    return min(pause, timeout - waited)


def _wake(**_: Any) -> None:
    for sleeper in list(_sleepers):
        sleeper.set()


run_finished.connect(_wake, dispatch_uid="django_tasktree.waiting")
