"""A real worker in a thread of this process."""

import logging
import subprocess
import sys
import threading

import pytest
from celery import bootsteps
from celery._state import task_join_will_block  # type: ignore[attr-defined]
from django.db import connection

from django_tasktree import TaskTree
from django_tasktree.worker.embedded import WorkerDied, embedded_worker
from tests import services, workers
from tests.patience import PATIENCE
from tests.sample import tasks

pytestmark = pytest.mark.django_db(transaction=True)
POOLS = [("solo", 1), ("threads", 3)]


@pytest.fixture(autouse=True)
def skip_checks(monkeypatch):
    """Skip Django's system checks, some of which query every database, when a worker first imports the tasks."""
    monkeypatch.setenv("CELERY_SKIP_CHECKS", "1")


@pytest.mark.parametrize(("pool", "concurrency"), POOLS)
@pytest.mark.parametrize("broker", ["memory", "filesystem", "redis"])
def test_an_embedded_worker_runs_a_growing_tree(app, broker, pool, concurrency):
    service = services.BROKERS.get(broker) or services.Service("memory", "memory://", "")
    services.need(service)
    before = {thread.ident for thread in threading.enumerate()}
    with workers.use_broker(app, service, workers.queue_of(f"embedded-{broker}")):
        app.conf.broker_transport_options = {**app.conf.broker_transport_options, "polling_interval": 0.01}
        with embedded_worker(app, pool=pool, concurrency=concurrency) as worker:
            tree = TaskTree()
            root = tree.add_task(tasks.grow, [2, 2])
            result = tree.apply_async()
            assert result.wait(timeout=PATIENCE) == "SUCCESS"
            assert result[root].children[-1].get() == 7
            assert result[root].node.worker == worker.hostname
            assert worker.alive
        assert not worker.alive
    left = [thread for thread in threading.enumerate() if thread.ident not in before and not thread.daemon]
    assert left == []


@pytest.mark.parametrize(("pool", "concurrency"), POOLS)
def test_a_task_may_not_wait_for_a_result(app, pool, concurrency):
    """Celery forbids it in tasks, while other threads may wait."""
    with embedded_worker(app, pool=pool, concurrency=concurrency):
        tree = TaskTree()
        tree.add_task(tasks.waits_for_another)
        result = tree.apply_async()
        assert result.wait(timeout=PATIENCE) == "FAILURE"
        assert "Never call result.get() within a task" in result.children[0].node.error_message
        assert not task_join_will_block()
    assert not task_join_will_block()


def test_running_tasks_are_waited_for(app):
    with embedded_worker(app):
        tree = TaskTree()
        tree.add_task(tasks.sleep, [0.5])
        result = tree.apply_async()
        while result.children[0].state not in ("STARTED", "SUCCESS"):
            pass
    assert result.state == "SUCCESS"


def test_a_failure_of_a_task_is_logged_once(app, caplog):
    with embedded_worker(app), caplog.at_level(logging.WARNING):
        tree = TaskTree()
        tree.add_task(tasks.fail)
        result = tree.apply_async()
        assert result.wait(timeout=PATIENCE) == "FAILURE"
    assert "it broke" not in caplog.text
    logging.getLogger("celery.app.trace").error("afterwards")
    assert "afterwards" in caplog.text


def test_a_broker_that_does_not_answer_is_named(app):
    nowhere = services.Service("nowhere", "redis://127.0.0.1:1/0", "redis")
    if nowhere.missing and "not installed" in nowhere.missing:
        pytest.skip(nowhere.missing)
    with (
        workers.use_broker(app, nowhere, "tests-nowhere"),
        pytest.raises(WorkerDied, match=r"did not start: the broker redis://.*127\.0\.0\.1:1"),
        embedded_worker(app),
    ):
        pytest.fail("the worker started")


class FailingStep(bootsteps.StartStopStep):
    """A bootstep that fails when the worker starts."""

    def start(self, parent):
        raise OSError("no room left")


def test_the_error_of_a_worker_that_dies_at_startup_has_the_reason(app, caplog):
    app.steps["worker"].add(FailingStep)
    try:
        with pytest.raises(WorkerDied, match="did not start: no room left") as caught, embedded_worker(app):
            pytest.fail("the worker started")
    finally:
        app.steps["worker"].discard(FailingStep)
    assert isinstance(caught.value.__cause__, OSError)
    assert not task_join_will_block(), "it left this process unable to wait for results"
    assert not {"tasktree-heartbeat", "tasktree-recovery"} & {thread.name for thread in threading.enumerate()}


def test_a_worker_that_stops_unexpectedly_is_reported(app):
    with embedded_worker(app) as worker:
        worker.raise_if_dead()
        worker.stop()
        with pytest.raises(WorkerDied, match="has stopped"):
            worker.raise_if_dead()


def test_stdout_and_the_callers_connection_are_unchanged(app):
    stdout, wrapped = sys.stdout, connection.connection
    with embedded_worker(app):
        assert sys.stdout is stdout
    assert connection.connection is wrapped


_CTRL_C = """
import os, signal, threading, time
import django; django.setup()
from testproject.celery import app
from django_tasktree.worker.embedded import embedded_worker
try:
    with embedded_worker(app):
        threading.Timer(0.3, os.kill, [os.getpid(), signal.SIGINT]).start()
        time.sleep(30)
except KeyboardInterrupt:
    print("interrupted", threading.active_count())
"""


def test_ctrl_c_reaches_the_main_thread(tmp_path):
    env = workers.environment("default", "memory://", "tests-ctrl-c", TESTPROJECT_VAR=str(tmp_path))
    done = subprocess.run([sys.executable, "-c", _CTRL_C], env=env, capture_output=True, text=True, timeout=PATIENCE)
    assert done.stdout.startswith("interrupted"), done.stderr
