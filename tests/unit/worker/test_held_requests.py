"""Which messages a worker reports as held: those that have a reason to wait."""

import math
import os
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest
from celery.worker import state

from django_tasktree.worker import held_requests
from tests.patience import until


@pytest.fixture
def requests(monkeypatch):
    """Provide a running task, a message that waits for a process, and one that waits for its rate limit."""
    kept = [
        SimpleNamespace(
            id=name, worker_pid=pid, has_ended=False, received_at=-math.inf, task=SimpleNamespace(rate_limit=limit)
        )
        for name, pid, limit in (("runs", os.getpid(), None), ("waits", None, None), ("limited", None, "1/m"))
    ]
    monkeypatch.setattr(held_requests, "held_requests", lambda: kept)


@pytest.mark.parametrize(
    ("others", "processes", "expected"),
    [
        (1, 2, ["runs", "waits", "limited"]),
        (3, 2, ["runs", "waits", "limited"]),
        (0, 2, ["runs", "limited"]),
        # The connection to the broker was lost in the meantime.
        (0, 1, ["runs", "waits", "limited"]),
    ],
)
def test_which_messages_are_reported(requests, monkeypatch, others, processes, expected):
    monkeypatch.setattr(state, "active_requests", [SimpleNamespace(worker_pid=None) for _ in range(others)])
    assert held_requests.held_for_row(processes) == expected


def test_a_message_that_has_just_arrived_is_reported(monkeypatch, settings):
    """The pool has a free process, but may take a moment to start it."""
    settings.TASKTREE = {"RESEND_AFTER": 30}
    ages = {"new": 0, "still new": 29, "forgotten": 31}
    kept = [
        SimpleNamespace(
            id=name,
            worker_pid=None,
            has_ended=False,
            received_at=time.monotonic() - age,
            task=SimpleNamespace(rate_limit=None),
        )
        for name, age in ages.items()
    ]
    monkeypatch.setattr(held_requests, "held_requests", lambda: kept)
    monkeypatch.setattr(state, "active_requests", [])
    assert held_requests.held_for_row(2) == ["new", "still new"]


def test_the_number_of_reported_messages_is_limited(monkeypatch):
    kept = [
        SimpleNamespace(
            id=str(number),
            worker_pid=os.getpid(),
            has_ended=False,
            received_at=-math.inf,
            task=SimpleNamespace(rate_limit=None),
        )
        for number in range(held_requests.MAX_HELD + 5)
    ]
    monkeypatch.setattr(held_requests, "held_requests", lambda: kept)
    reported = held_requests.held_for_row(1)
    assert (len(reported), reported[0]) == (held_requests.MAX_HELD, "0")


@pytest.fixture
def exited():
    """Yield a child process that has exited and was not waited for."""
    child = subprocess.Popen([sys.executable, "-c", ""])
    until(lambda: held_requests.has_exited(child.pid))
    yield child
    child.wait()


def test_has_exited_is_true_for_a_zombie(exited):
    assert exited.returncode is None
    assert exited.wait() == 0
    assert held_requests.has_exited(exited.pid)


def test_has_exited_is_false_for_a_running_process():
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert not held_requests.has_exited(child.pid)
    child.communicate(b"\n")
    assert not held_requests.has_exited(os.getpid())


def test_a_task_whose_process_has_exited_is_not_reported(exited, monkeypatch):
    """If Celery's main thread hangs, it does not notice the exit."""
    kept = [
        SimpleNamespace(
            id=name, worker_pid=pid, has_ended=False, received_at=-math.inf, task=SimpleNamespace(rate_limit=None)
        )
        for name, pid in (("gone", exited.pid), ("waits", None))
    ]
    monkeypatch.setattr(held_requests, "held_requests", lambda: kept)
    assert held_requests.held_task_ids() == {"waits"}
    monkeypatch.setattr(state, "active_requests", [kept[0]])
    assert held_requests.held_for_row(1) == []


def test_a_concurrent_change_of_celerys_set_is_retried(monkeypatch):
    class Changing:
        iterations = 0

        def __iter__(self):
            Changing.iterations += 1
            yield SimpleNamespace(worker_pid=None)
            if Changing.iterations == 1:
                raise RuntimeError("Set changed size during iteration")

    monkeypatch.setattr(state, "active_requests", Changing())
    monkeypatch.setattr(held_requests, "held_requests", list)
    assert held_requests.held_for_row(1) == []
    assert Changing.iterations == 2
