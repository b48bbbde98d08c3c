"""Which worker sweeps, when, and how far it gets."""

import threading
import time
from datetime import timedelta
from types import SimpleNamespace
from uuid import uuid4

import pytest
from django.db import connections
from django.db.models import F

from django_tasktree.engine.clock import database_now
from django_tasktree.engine.sweep import lease
from django_tasktree.engine.workers import WorkerSpec
from django_tasktree.models import Lease
from django_tasktree.sweeping import passes, sweep_if_due
from django_tasktree.sweeping.swept import Swept
from tests.patience import PATIENCE


def let_pass(seconds):
    Lease.objects.update(until=F("until") - timedelta(seconds=seconds))


def keeper(app):
    spec = WorkerSpec(uuid4(), "w@here", pid=1)
    beats = []
    return SimpleNamespace(
        app=app,
        describe=lambda: spec,
        stopping=threading.Event(),
        beats=beats,
        beat_if_due=lambda: beats.append(time.monotonic()),
    )


def test_one_at_a_time(database):
    first, second = uuid4(), uuid4()
    assert lease.take(first) == {}
    assert lease.take(second) is None
    assert lease.take(first) is None


def test_the_next_pass_is_due_after_the_interval_whoever_makes_it(database, settings):
    settings.TASKTREE = {"SWEEP_INTERVAL": 10}
    first, second = uuid4(), uuid4()
    lease.take(first)
    lease.release(first, {"STARTED": "ab"})
    let_pass(9)
    assert lease.take(second) is None
    let_pass(1.1)
    assert lease.take(second) == {"STARTED": "ab"}


def test_a_sweeper_that_was_lost_is_waited_for_and_then_replaced(database):
    first, second = uuid4(), uuid4()
    lease.take(first)
    let_pass(lease.TERM - 1)
    assert lease.take(second) is None
    let_pass(1.1)
    assert lease.take(second) == {}


def test_a_sweeper_that_comes_back_late_does_not_end_anothers_pass(database):
    first, second = uuid4(), uuid4()
    lease.take(first)
    let_pass(lease.TERM + 1)
    lease.take(second)
    lease.release(first, {"STARTED": "ab"})
    row = Lease.objects.get()
    assert (row.holder, row.cursors) == (second, {})
    assert row.until > database_now()


@pytest.mark.parametrize("exists", [False, True], ids=["the first lease ever", "a lease that is due"])
def test_many_workers_at_once(database, exists):
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
    seen = []

    def look(_app, walk, _now, _swept: Swept):
        seen.append(walk)
        assert walk.go_on()

    monkeypatch.setattr(passes, "_STEPS", (look,))
    return seen


def test_a_worker_that_sweeps_keeps_its_heartbeat(database, app, steps):
    worker = keeper(app)
    sweep_if_due(worker)
    assert len(steps) == len(worker.beats) == 1


def test_a_worker_leaves_the_pass_that_another_makes(database, app, steps):
    lease.take(uuid4())
    sweep_if_due(keeper(app))
    assert steps == []


def test_a_worker_that_shuts_down_breaks_off(database, app, monkeypatch):
    worker = keeper(app)

    def look(_app, walk, _now, _swept):
        assert walk.go_on()
        worker.stopping.set()
        assert not walk.go_on()

    monkeypatch.setattr(passes, "_STEPS", (look,))
    sweep_if_due(worker)


def test_a_pass_that_takes_long_breaks_off(database, app, monkeypatch):
    def look(_app, walk, _now, _swept):
        assert not walk.go_on()

    monkeypatch.setattr(passes, "_STEPS", (look,))
    monkeypatch.setattr(passes, "LONGEST", 0)
    sweep_if_due(keeper(app))


def test_a_pass_that_fails_leaves_its_lease_to_run_out(database, app, monkeypatch):
    """Whatever made it fail would make the next one fail at once, too."""

    def look(*_):
        raise ValueError("broken")

    monkeypatch.setattr(passes, "_STEPS", (look,))
    with pytest.raises(ValueError, match="broken"):
        sweep_if_due(keeper(app))
    assert lease.take(uuid4()) is None
