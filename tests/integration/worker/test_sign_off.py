"""The end of a worker's heartbeats."""

from uuid import uuid4

from django.db import OperationalError

from django_tasktree.engine.heartbeats import WorkerSpec, beat, sign_off, workers
from django_tasktree.worker import heartbeat
from django_tasktree.worker.heartbeat import HeartbeatThreads


def test_a_worker_signs_off_although_a_lock_times_out(database, app, monkeypatch):
    spec = WorkerSpec(uuid4(), "w", pid=1)
    beat(lambda: spec)
    tries = []

    def once_locked(key):
        tries.append(key)
        if len(tries) == 1:
            raise OperationalError("canceling statement due to lock timeout")
        sign_off(key)

    monkeypatch.setattr(heartbeat, "sign_off", once_locked)
    monkeypatch.setattr(heartbeat, "_PAUSE", 0)
    threads = HeartbeatThreads(app, lambda: spec, lambda _: None)
    threads.stopping.set()
    threads._record_heartbeats()
    assert tries == [spec.id, spec.id]
    assert not workers().filter(id=spec.id).exists()


def test_a_sweep_that_still_goes_on_does_not_write_the_row_again(database, app):
    spec = WorkerSpec(uuid4(), "w", pid=1)
    threads = HeartbeatThreads(app, lambda: spec, lambda _: None)
    threads.beat_if_due()
    assert workers().filter(id=spec.id).exists()
    threads.stopping.set()
    threads._record_heartbeats()
    threads._next_beat = 0.0
    threads.beat_if_due()
    assert not workers().filter(id=spec.id).exists()
