"""Postpone what follows in a run while a receiver of ``node_waiting`` changes it.

A receiver may answer at once, and the next wait node of the run may follow, whose receiver answers at once, and so on.
Without this, each of them would need a part of the stack.
"""

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from uuid import UUID

from django_tasktree.dispatch.follow_up import FollowUp


class _Postponed(threading.local):
    """The work of this thread, by the ID of the run."""

    def __init__(self) -> None:
        self.of_run: dict[UUID, list[Iterable[FollowUp]]] = {}


_postponed = _Postponed()


@contextmanager
def postponing(run_id: UUID) -> Iterator[list[Iterable[FollowUp]]]:
    """Yield a list to which what follows in a run is appended, instead of being processed in the block."""
    outer = _postponed.of_run.get(run_id)
    if outer is not None:
        yield []
        return
    work = _postponed.of_run[run_id] = []
    try:
        yield work
    finally:
        del _postponed.of_run[run_id]


def postpone(run_id: UUID, follow_ups: Iterable[FollowUp]) -> bool:
    """Append what follows in a run to the list of a block of :func:`postponing` in this thread.

    Returns:
        False if there is no such block.
    """
    work = _postponed.of_run.get(run_id)
    if work is None:
        return False
    work.append(follow_ups)
    return True
