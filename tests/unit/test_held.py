"""Which messages a worker says it holds: those that have a reason to wait."""

from types import SimpleNamespace

import pytest
from celery.worker import state

from django_tasktree.worker import held


@pytest.fixture
def requests(monkeypatch):
    """A running body, a message that waits for a process, and one that waits for its rate limit."""
    kept = [
        SimpleNamespace(id=name, worker_pid=pid, has_ended=False, task=SimpleNamespace(rate_limit=limit))
        for name, pid, limit in (("runs", 5, None), ("waits", None, None), ("limited", None, "1/m"))
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
    monkeypatch.setattr(state, "active_requests", [object() for _ in range(others)])
    assert held.held_for_row(processes) == expected


def test_no_more_than_the_row_can_hold(monkeypatch):
    kept = [
        SimpleNamespace(id=str(number), worker_pid=1, has_ended=False, task=SimpleNamespace(rate_limit=None))
        for number in range(held.MOST_HELD + 5)
    ]
    monkeypatch.setattr(held, "held_requests", lambda: kept)
    shown = held.held_for_row(1)
    assert (len(shown), shown[0]) == (held.MOST_HELD, "0")
