"""The threads and coroutines of this process that sleep until a run ends, and who rouses them."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django_tasktree.signals import run_finished


@dataclass(frozen=True, eq=False)
class _Sleeper:
    run_id: Callable[[], UUID | None]
    rouse: Callable[[], Any]


_sleepers: set[_Sleeper] = set()
_lock = threading.Lock()


@contextmanager
def sleeping(run_id: Callable[[], UUID | None], rouse: Callable[[], Any]) -> Iterator[None]:
    """Rouse a sleeper whenever its run ends, and when it is to look for other reasons, until the end of the block.

    Args:
        run_id: returns the ID of the run; None if it is not known yet: then the end of any run rouses the sleeper.
        rouse: ends the sleep; other threads call it.
    """
    sleeper = _Sleeper(run_id, rouse)
    with _lock:
        _sleepers.add(sleeper)
    try:
        yield
    finally:
        with _lock:
            _sleepers.discard(sleeper)


def rouse(run_id: UUID | None = None) -> None:
    """Rouse those who sleep until a run ends.

    Args:
        run_id: the run; None rouses all sleepers.
    """
    with _lock:
        every = list(_sleepers)
    for sleeper in every:
        if run_id is None or sleeper.run_id() in (run_id, None):
            sleeper.rouse()


def _on_run_finished(run_id: UUID | None = None, **_: Any) -> None:
    rouse(run_id)


def _forget_parent() -> None:
    """Forget the threads of the parent process after a fork; another thread may have held the lock."""
    global _lock
    _lock = threading.Lock()
    _sleepers.clear()


run_finished.connect(_on_run_finished, dispatch_uid="django_tasktree.client.sleepers")
os.register_at_fork(after_in_child=_forget_parent)
