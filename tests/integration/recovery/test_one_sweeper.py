"""The lease of the sweep: which worker sweeps, when, and for how long."""

import threading
import time
from datetime import timedelta
from types import SimpleNamespace
from uuid import uuid4

import pytest
from django.db import connections
from django.db.models import F

from django_tasktree.engine.backends import database_now
from django_tasktree.engine.heartbeats import WorkerSpec
from django_tasktree.engine.recovery import lease
from django_tasktree.models import Lease
from django_tasktree.recovery import sweep as passes
from django_tasktree.recovery.report import SweepReport
from django_tasktree.recovery.sweep import sweep_if_due
from tests.patience import PATIENCE


def let_pass(seconds):
    """Shorten the lease, as if time had passed."""
    Lease.objects.update(until=F("until") - timedelta(seconds=seconds))


def worker_threads(app):
    """Return the parts of a worker that sweep_if_due() uses."""
    spec = WorkerSpec(uuid4(), "w@here", pid=1)
    beats = []
    return SimpleNamespace(
        app=app,
        describe=lambda: spec,
        stopping=threading.Event(),
        beats=beats,
        beat_if_due=lambda: beats.append(time.monotonic()),
    )


def test_one_worker_sweeps_at_a_time(database):
    first, second = uuid4(), uuid4()
    assert lease.take(first) == {}
    assert lease.take(second) is None
    assert lease.take(first) is None


def test_the_next_pass_is_due_after_the_interval_in_any_worker(database, settings):
    settings.TASKTREE = {"SWEEP_INTERVAL": 10}
    first, second = uuid4(), uuid4()
    lease.take(first)
    lease.release(first, {"STARTED": "ab"})
    let_pass(9)
    assert lease.take(second) is None
    let_pass(1.1)
    assert lease.take(second) == {"STARTED": "ab"}


def test_a_lost_sweeper_is_replaced_when_its_lease_expires(database):
    first, second = uuid4(), uuid4()
    lease.take(first)
    let_pass(lease.TERM - 1)
    assert lease.take(second) is None
    let_pass(1.1)
    assert lease.take(second) == {}


def test_a_sweeper_that_returns_late_does_not_release_the_lease_of_another(database):
    first, second = uuid4(), uuid4()
    lease.take(first)
    let_pass(lease.TERM + 1)
    lease.take(second)
    lease.release(first, {"STARTED": "ab"})
    row = Lease.objects.get()
    assert (row.holder, row.cursors) == (second, {})
    assert row.until > database_now()


@pytest.mark.parametrize("exists", [False, True], ids=["the first lease ever", "a lease that is due"])
def test_one_of_many_concurrent_workers_takes_the_lease(database, exists):
    if exists:
        lease.take(uuid4())
        let_pass(lease.TERM + 1)
    if database == "default":
        pytest.skip("SQLite has one writer")
    barrier = threading.Barrier(8)
    taken = []

    def race():
        barrier.wait(PATIENCE)
        taken.append(lease.take(uuid4()))
        connections[database].close()

    threads = [threading.Thread(target=race) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [one for one in taken if one is not None] == [{}]
    assert len(taken) == 8


@pytest.fixture
def steps(monkeypatch):
    """Replace the steps of a pass; return a list that receives the scan of each pass."""
    seen = []

    def look(_app, scan, _now, _report: SweepReport):
        seen.append(scan)
        assert scan.may_continue()

    monkeypatch.setattr(passes, "STEPS", (look,))
    return seen


def test_a_worker_sends_heartbeats_during_a_pass(database, app, steps):
    worker = worker_threads(app)
    sweep_if_due(worker)
    assert len(steps) == len(worker.beats) == 1


def test_a_worker_does_not_sweep_while_another_has_the_lease(database, app, steps):
    lease.take(uuid4())
    sweep_if_due(worker_threads(app))
    assert steps == []


def test_a_worker_that_shuts_down_interrupts_its_pass(database, app, monkeypatch):
    worker = worker_threads(app)

    def look(_app, scan, _now, _report):
        assert scan.may_continue()
        worker.stopping.set()
        assert not scan.may_continue()

    monkeypatch.setattr(passes, "STEPS", (look,))
    sweep_if_due(worker)


def test_a_long_pass_is_interrupted(database, app, monkeypatch):
    def look(_app, scan, _now, _report):
        assert not scan.may_continue()

    monkeypatch.setattr(passes, "STEPS", (look,))
    monkeypatch.setattr(passes, "MAX_SECONDS", 0)
    sweep_if_due(worker_threads(app))


def test_a_pass_that_fails_keeps_its_lease_until_it_expires(database, app, monkeypatch):
    """The next pass would probably fail for the same reason."""

    def look(*_):
        raise ValueError("broken")

    monkeypatch.setattr(passes, "STEPS", (look,))
    with pytest.raises(ValueError, match="broken"):
        sweep_if_due(worker_threads(app))
    assert lease.take(uuid4()) is None
