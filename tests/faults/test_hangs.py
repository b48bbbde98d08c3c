"""Brokers and databases that accept connections but never answer, and transactions that never release their locks."""

import os
import signal
import socket
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from django.db import connections, transaction

from django_tasktree import TaskTree
from django_tasktree.dispatch import timed_broker
from django_tasktree.dispatch.after_commit import publish_now
from django_tasktree.dispatch.publisher import over_timed_connection, publish, unreachable
from django_tasktree.engine.backends import base
from django_tasktree.engine.statement_limits import limited_statements
from django_tasktree.engine.transitions import nodes
from django_tasktree.models import NodeRun, TreeRun, Worker
from django_tasktree.recovery.queues import Queues
from django_tasktree.recovery.sweep import sweep
from tests import services, simulation, workers
from tests.faults.crowd import crowd
from tests.faults.private_servers import PrivateRabbitMQ, PrivateRedis, private
from tests.integration.recovery.scenes import age, launched, started
from tests.patience import PATIENCE, until
from tests.sample.tasks import echo, wait_for_file

SERVERS = [PrivateRedis, PrivateRabbitMQ]


@contextmanager
def silent_server():
    """Provide the port of a server that accepts connections and never answers."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(16)
        yield listening.getsockname()[1]


def is_stopped(group):
    """Return whether all threads of a process group have stopped: on a busy machine, a signal takes a while."""
    for process in Path("/proc").glob("[0-9]*"):
        # Processes and threads may end during the loop.
        with suppress(OSError):
            if os.getpgid(int(process.name)) == group:
                states = [
                    (thread / "stat").read_text().rpartition(")")[2].split()[0] for thread in process.glob("task/*")
                ]
                if not set(states) <= {"T", "t", "Z", "X"}:
                    return False
    return True


@contextmanager
def stopped(server):
    """Stop the processes of a server, as a debugger does; its connections stay open."""
    os.killpg(server.process.pid, signal.SIGSTOP)
    try:
        until(lambda: is_stopped(server.process.pid), "the stop of the server")
        yield
    finally:
        os.killpg(server.process.pid, signal.SIGCONT)


@pytest.fixture
def short_timeouts(monkeypatch):
    """Limit operations on the broker to one second."""
    for options in timed_broker.OPTIONS.values():
        for name in options:
            monkeypatch.setitem(options, name, 1)
    monkeypatch.setattr(timed_broker, "MAX_SECONDS", 1)


@pytest.mark.parametrize("scheme", ["redis", "amqp"])
def test_reading_the_depth_of_a_queue_times_out(app, short_timeouts, scheme):
    with silent_server() as port:
        service = services.Service("silent", f"{scheme}://127.0.0.1:{port}//", "")
        with workers.use_broker(app, service, "silent"), Queues(app) as queues, pytest.raises(unreachable(app)):
            queues.depth("silent")


@pytest.mark.parametrize("server_class", SERVERS, ids=["redis", "rabbitmq"])
def test_operations_on_a_stopped_broker_time_out(app, short_timeouts, transactional_db, server_class):
    """The broker stops after the connection was made: neither a depth nor a confirmation is waited for."""
    with private(server_class) as server, workers.use_broker(app, server.service, "stop_scope_id"):
        tree = TaskTree()
        tree.add_task(echo, [1])
        run_id = tree.apply_async().id
        with Queues(app) as queues:
            assert queues.depth("stop_scope_id") == 1
            with stopped(server), pytest.raises(unreachable(app)):
                queues.depth("another")
        with over_timed_connection(), stopped(server):
            assert publish(dispatches(run_id)).unsent == 1
        with over_timed_connection():
            publish_now(run_id, dispatches(run_id))


def dispatches(run_id):
    from django_tasktree.engine.types import DISPATCH_COLUMNS, Dispatch

    return [Dispatch.of_columns(columns) for columns in nodes().filter(run_id=run_id).values_list(*DISPATCH_COLUMNS)]


@pytest.mark.worker
@pytest.mark.django_db(transaction=True, databases="__all__")
@pytest.mark.parametrize("pool", ["prefork", "threads"])
@pytest.mark.parametrize("server_class", SERVERS, ids=["redis", "rabbitmq"])
def test_heartbeats_continue_while_the_broker_hangs(app, tmp_path, server_class, pool):
    """So no other worker regards its attempts as lost."""
    services.need(services.POSTGRESQL)
    quick = {"RESEND_AFTER": 0.5}
    with (
        private(server_class) as server,
        crowd(app, "postgresql", server.service, "hangs", quick, pool=pool) as workers,
    ):
        workers.start(1)
        tree = TaskTree()
        running = tree.add_task(wait_for_file, [str(tmp_path / "go")], on_worker_lost="fail")
        running.add_task(echo, ["after"])
        # No worker consumes that queue, so the sweep reads its depth.
        tree.add_task(echo, ["never"], queue=f"{workers.queue}-unconsumed")
        result = tree.apply_async()
        until(lambda: result[running].state == "STARTED")
        with stopped(server):
            for _ in range(12):
                last = Worker.objects.get().last_seen
                until(lambda last=last: Worker.objects.get().last_seen > last)
        (tmp_path / "go").touch()
        until(lambda: result[running].state == "SUCCESS")
        assert result[running].node.attempts == 1
        result.revoke()


@contextmanager
def locked(alias, rows):
    """Lock rows in a transaction of another connection."""
    taken, done = threading.Event(), threading.Event()

    def hold():
        with transaction.atomic(using=alias):
            list(rows.using(alias).select_for_update())
            taken.set()
            done.wait(PATIENCE)
        connections[alias].close()

    thread = threading.Thread(target=hold)
    thread.start()
    assert taken.wait(PATIENCE)
    try:
        yield
    finally:
        done.set()
        thread.join(60)


@pytest.fixture
def world(database, app):
    if database == "default":
        pytest.skip("SQLite has one writer")
    with simulation.simulated(app, "locked") as world:
        world.start_worker("w")
        yield world


def test_a_locked_node_does_not_block_the_rest_of_a_sweep(world, database):
    lost, other = [started_long_ago(world) for _ in range(2)]
    world.kill_worker("w")
    begun = time.monotonic()
    with locked(database, NodeRun.objects.filter(id=lost.id)), limited_statements():
        report = sweep(world.app)
    assert (report.errors, report.requeued) == (1, 1)
    assert (lost.state, other.state) == ("STARTED", "QUEUED")
    assert time.monotonic() - begun < 60
    connections[database].close()
    assert sweep(world.app).requeued == 1


def test_a_locked_run_does_not_block_the_rest_of_a_sweep(world, database):
    lost, other = [started_long_ago(world) for _ in range(2)]
    world.kill_worker("w")
    with locked(database, TreeRun.objects.filter(id=lost.node.run_id)), limited_statements():
        sweep(world.app)
    assert other.state == "QUEUED"


def test_messages_of_locked_nodes_are_left_for_the_next_sweep(world, database):
    one, other = launched("one", "other")
    world.receive_all()
    for node in (one, other):
        age(node, 31)
    with locked(database, NodeRun.objects.filter(id=one.id)), limited_statements():
        assert sweep(world.app).resent == 1


def test_the_limits_end_with_the_transaction_and_the_connection(world, database):
    """A connection pooler may assign the same session to another client."""
    statement = {
        "postgresql": "SHOW lock_timeout",
        "mysql": "SELECT @@innodb_lock_wait_timeout",
    }[connections[database].vendor]

    def setting():
        with connections[database].cursor() as cursor:
            cursor.execute(statement)
            return str(cursor.fetchone()[0])

    before = setting()
    with limited_statements():
        assert setting() in (f"{base.LOCK_WAIT}s", str(base.LOCK_WAIT))
        with transaction.atomic(using=database):
            assert setting() in (f"{base.LOCK_WAIT}s", str(base.LOCK_WAIT))
    if connections[database].vendor == "mysql":
        connections[database].close()
    assert setting() == before


def started_long_ago(world):
    """Return the handle of a node that has been STARTED for 100 seconds."""
    (node,) = launched("a")
    world.receive_all()
    started(world, node)
    age(node, 100)
    return node
