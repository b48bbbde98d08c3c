"""The database fails once, before or after each statement and commit of an attempt, and the attempt is completed.

On servers, another connection really ends the connection; for SQLite, the error is raised that it is locked.
"""

import threading
from contextlib import contextmanager
from unittest import mock

import psycopg
import pytest
from django.db import InterfaceError, OperationalError, connections, transaction
from django_celery_results.backends.database import DatabaseBackend

from django_tasktree import TaskTree
from django_tasktree.engine import database_retries
from django_tasktree.engine.database_retries import is_transient, retry_transient
from django_tasktree.engine.transitions import write_alias
from django_tasktree.models import NodeRun, TreeRun
from tests import simulation
from tests.patience import PATIENCE
from tests.sample.atomic_tasks import effect
from tests.sample.models import Effect
from tests.sample.tasks import echo, fail, flaky


@pytest.fixture
def world(database, app, settings, monkeypatch):
    # Celery's own result backend has no such retries, and before 5.6 it writes a retry even if results are ignored.
    settings.TASKTREE = {"STORE_TASK_RESULTS": False}
    monkeypatch.setattr(DatabaseBackend, "_store_result", lambda *args, **options: None)
    monkeypatch.setattr(database_retries, "FIRST_PAUSE", 0.001)
    with simulation.simulated(app, "transient") as world:
        world.start_worker("w")
        yield world


def connection_lost(vendor):
    """Return the error of a lost connection, as Django raises it."""
    if vendor == "postgresql":
        error = OperationalError("the connection is lost")
        error.__cause__ = psycopg.OperationalError("the connection is lost")
        return error
    return OperationalError("database is locked") if vendor == "sqlite" else OperationalError(2013, "Lost connection")


def end_own_connection():
    """End the connection of this thread from another connection; not for SQLite."""
    connection = connections[write_alias()]
    own, kill = {
        "postgresql": ("SELECT pg_backend_pid()", "SELECT pg_terminate_backend(%s)"),
        "mysql": ("SELECT CONNECTION_ID()", "KILL %s"),
    }[connection.vendor]
    with connection.connection.cursor() as cursor:
        cursor.execute(own)
        (pid,) = cursor.fetchone()

    def end():
        other = connections[write_alias()]
        with other.cursor() as cursor:
            cursor.execute(kill, [pid])
        other.close()

    thread = threading.Thread(target=end)
    thread.start()
    thread.join()


@contextmanager
def failing(point, after=False):
    """Count statements and commits, and lose the connection before or after the one with the given number."""
    connection = connections[write_alias()]
    steps = []

    def around(act):
        steps.append(True)
        if len(steps) != point:
            return act()
        outcome = act() if after else None  # noqa: F841
        if connection.vendor != "sqlite":
            end_own_connection()
        if after or connection.vendor == "sqlite":
            raise connection_lost(connection.vendor)
        return act()

    def executing(execute, sql, params, many, context):
        if sql.startswith("BEGIN"):
            return execute(sql, params, many, context)
        return around(lambda: execute(sql, params, many, context))

    commit = type(connection)._commit  # type: ignore[attr-defined]

    def committing(self):
        # Only transactions that Django has opened: in autocommit mode, a statement is its own transaction.
        return around(lambda: commit(self))

    with connection.execute_wrapper(executing), mock.patch.object(type(connection), "_commit", committing):
        yield steps


def chain():
    tree = TaskTree("chain")
    top = tree.add_task(echo, ["top"])
    top.add_task(echo, ["one"])
    top.add_task(echo, ["two"])
    top.gather(echo, [top.outputs])
    return tree


def failures():
    tree = TaskTree("failures", on_failure="stop")
    tree.add_task(fail, ["bad"]).add_task(echo, ["below"])
    return tree


def retries():
    tree = TaskTree("retries", max_active=1)
    tree.add_task(flaky, [1]).add_task(echo, ["after"])
    return tree


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("build", [chain, failures, retries], ids=lambda build: build.__name__)
def test_an_error_around_each_step_of_the_attempts(world, build, after):
    for _ in range(2):
        whole = build().apply_async()
        with failing(None) as steps:
            world.deliver_all("w")
    expected = (whole.state, simulation.states(whole.id), attempts(whole))
    for point in range(1, len(steps) + 1):
        result = build().apply_async()
        with failing(point, after):
            world.deliver_all("w")
        over = TreeRun.objects.filter(id=result.id, state=expected[0]).exists
        # If the answer to a commit was lost, the sweep sends the messages of the queued nodes.
        assert over() or (after and world.recover(over)), f"step {point}: {simulation.states(result.id)}"
        found = (result.state, simulation.states(result.id), attempts(result))
        assert found == expected, f"step {point} of {len(steps)}"


def attempts(result):
    return sorted(NodeRun.objects.filter(run_id=result.id).values_list("attempts", flat=True))


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_atomic_tasks_are_repeated(world, after):
    """The statements of the task function count too: after any error, its row is written exactly once."""
    for _ in range(2):
        tree = TaskTree()
        tree.add_task(effect, ["a"])
        tree.apply_async()
        with failing(None) as steps:
            world.deliver_all("w")
    for point in range(1, len(steps) + 1):
        Effect.objects.all().delete()
        tree = TaskTree()
        tree.add_task(effect, ["a"])
        result = tree.apply_async()
        with failing(point, after):
            world.deliver_all("w")
        over = TreeRun.objects.filter(id=result.id, state="SUCCESS").exists
        # If the answer to the commit was lost, the sweep does what follows the commit.
        assert over() or world.recover(over), f"step {point}: {simulation.states(result.id)}"
        assert Effect.objects.count() == 1, f"step {point} of {len(steps)}"


def test_a_real_deadlock(database):
    """The victim of the deadlock retries, and both transactions succeed."""
    if database == "default":
        pytest.skip("SQLite has one writer")
    runs = [TreeRun.objects.create(state="STARTED") for _ in range(2)]
    barrier = threading.Barrier(2)
    tries, succeeded = [], []

    def update_in_order(first, second):
        def update_both():
            tries.append(first)
            with transaction.atomic(using=database):
                TreeRun.objects.filter(id=first).update(name="x")
                if len(tries) <= 2:
                    barrier.wait(PATIENCE)
                TreeRun.objects.filter(id=second).update(name="y")

        retry_transient(update_both)
        succeeded.append(first)
        connections[database].close()

    keys = [run.id for run in runs]
    threads = [threading.Thread(target=update_in_order, args=order) for order in (keys, keys[::-1])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(succeeded) == sorted(keys)
    # A victim that retries may lock its first row before the other thread has woken up, which causes another deadlock.
    assert len(tries) >= 3


def test_retries_end_if_the_database_stays_unavailable(database, settings, monkeypatch):
    settings.TASKTREE = {"DATABASE_RETRY_FOR": 0.2}
    tries = []

    def unavailable():
        tries.append(True)
        raise connection_lost(connections[database].vendor)

    with pytest.raises(OperationalError):
        retry_transient(unavailable)
    assert len(tries) > 1


def test_nothing_is_retried_inside_a_transaction(database):
    tries = []

    def unavailable():
        tries.append(True)
        raise connection_lost(connections[database].vendor)

    with pytest.raises(OperationalError), transaction.atomic(using=database):
        retry_transient(unavailable)
    assert len(tries) == 1


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (InterfaceError("connection already closed"), True),
        (OperationalError(1213, "Deadlock found"), True),
        (OperationalError(1045, "Access denied"), False),
        (OperationalError("database is locked"), True),
        (OperationalError("no such table: x"), False),
        (OperationalError("disk I/O error"), False),
        (ValueError("database is locked"), False),
    ],
    ids=str,
)
def test_transient_errors(error, expected):
    assert is_transient(error) is expected


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (psycopg.errors.DeadlockDetected, True),
        (psycopg.errors.SerializationFailure, True),
        (psycopg.errors.AdminShutdown, True),
        (psycopg.errors.ConnectionFailure, True),
        (psycopg.errors.InvalidPassword, False),
        (psycopg.errors.DiskFull, False),
    ],
)
def test_transient_errors_of_postgresql(kind, expected):
    error = OperationalError("it failed")
    error.__cause__ = kind("it failed")
    assert is_transient(error) is expected
