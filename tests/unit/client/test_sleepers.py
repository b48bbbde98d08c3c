"""Who is roused when a run ends, and until when."""

import asyncio
import uuid

from django_tasktree.client.sleepers import rouse, sleeping
from django_tasktree.client.waiting import _set
from django_tasktree.signals import run_finished

ONE, TWO = uuid.UUID(int=1), uuid.UUID(int=2)


def _roused(act):
    """Return who is roused by a function: those who sleep until run 1, run 2, or a run they do not know yet ends."""
    roused: list[int | None] = []
    with (
        sleeping(lambda: ONE, lambda: roused.append(1)),
        sleeping(lambda: TWO, lambda: roused.append(2)),
        sleeping(lambda: None, lambda: roused.append(None)),
    ):
        act()
    return set(roused), len(roused)


def test_those_who_may_wait_for_the_run_are_roused():
    assert _roused(lambda: rouse(ONE)) == ({1, None}, 2)
    assert _roused(rouse) == ({1, 2, None}, 3)
    assert _roused(lambda: None) == (set(), 0)


def test_the_end_of_a_run_in_this_process_rouses():
    assert _roused(lambda: run_finished.send(sender=None, run_id=TWO, state="SUCCESS")) == ({2, None}, 2)


def test_nobody_is_roused_after_the_block():
    roused = []
    with sleeping(lambda: ONE, lambda: roused.append(1)):
        pass
    rouse()
    assert roused == []


def test_a_closed_event_loop_is_not_roused():
    """A loop may be closed before its coroutines are."""
    loop = asyncio.new_event_loop()
    woken = asyncio.Event()
    loop.close()
    _set(woken, loop)
    assert not woken.is_set()
