"""Which messages a worker says it holds: those that have a reason to wait."""

import os
import subprocess
import sys
from types import SimpleNamespace

import pytest
from celery.worker import state

from django_tasktree.worker import held
from tests.patience import until


@pytest.fixture
def requests(monkeypatch):
    """A running body, a message that waits for a process, and one that waits for its rate limit."""
    kept = [
        SimpleNamespace(id=name, worker_pid=pid, has_ended=False, task=SimpleNamespace(rate_limit=limit))
        for name, pid, limit in (("runs", os.getpid(), None), ("waits", None, None), ("limited", None, "1/m"))
    ]
    monkeypatch.setattr(held, "held_requests", lambda: kept)


@pytest.mark.parametrize(
    ("others", "processes", "expected"),
    [
        (1, 2, ["runs", "waits", "limited"]),
        (3, 2, ["runs", "waits", "limited"]),
        (0, 2, ["runs", "limited"]),
        # The broker's connection was lost meanwhile.
        (0, 1, ["runs", "waits", "limited"]),
    ],
)
def test_what_is_shown(requests, monkeypatch, others, processes, expected):
    monkeypatch.setattr(state, "active_requests", [SimpleNamespace(worker_pid=None) for _ in range(others)])
    assert held.held_for_row(processes) == expected


def test_no_more_than_the_row_can_hold(monkeypatch):
    kept = [
        SimpleNamespace(id=str(number), worker_pid=os.getpid(), has_ended=False, task=SimpleNamespace(rate_limit=None))
        for number in range(held.MOST_HELD + 5)
    ]
    monkeypatch.setattr(held, "held_requests", lambda: kept)
    shown = held.held_for_row(1)
    assert (len(shown), shown[0]) == (held.MOST_HELD, "0")


@pytest.fixture
def exited():
    """A child process that has exited, and whose parent has not asked for its status."""
    child = subprocess.Popen([sys.executable, "-c", ""])
    until(lambda: held.has_exited(child.pid))
    yield child
    child.wait()


def test_a_process_that_has_exited(exited):
    assert exited.returncode is None
    assert exited.wait() == 0
    assert held.has_exited(exited.pid)


def test_a_process_that_lives():
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert not held.has_exited(child.pid)
    child.communicate(b"\n")
    assert not held.has_exited(os.getpid())


def test_a_body_whose_process_has_exited_runs_no_more(exited, monkeypatch):
    """Celery's main thread may hang, and then does not notice."""
    kept = [
        SimpleNamespace(id=name, worker_pid=pid, has_ended=False, task=SimpleNamespace(rate_limit=None))
        for name, pid in (("gone", exited.pid), ("waits", None))
    ]
    monkeypatch.setattr(held, "held_requests", lambda: kept)
    assert held.held_task_ids() == {"waits"}
    monkeypatch.setattr(state, "active_requests", [kept[0]])
    assert held.held_for_row(1) == []


def test_celerys_set_may_change_meanwhile(monkeypatch):
    class Changing:
        looks = 0

        def __iter__(self):
            Changing.looks += 1
            yield SimpleNamespace(worker_pid=None)
            if Changing.looks == 1:
                raise RuntimeError("Set changed size during iteration")

    monkeypatch.setattr(state, "active_requests", Changing())
    monkeypatch.setattr(held, "held_requests", list)
    assert held.held_for_row(1) == []
    assert Changing.looks == 2
