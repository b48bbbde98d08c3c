"""The database fails for a moment, before and after every statement and every commit of an attempt: it is borne.

On servers the connection is really ended, by another one; SQLite says that it is locked.
"""

import threading
from contextlib import contextmanager
from unittest import mock

import psycopg
import pytest
from django.db import InterfaceError, OperationalError, connections, transaction
from django_celery_results.backends.database import DatabaseBackend

from django_tasktree import TaskTree
from django_tasktree.engine import transient
from django_tasktree.engine.moves import write_alias
from django_tasktree.engine.transient import is_transient, persist
from django_tasktree.models import NodeRun, TreeRun
from tests import simulation
from tests.patience import PATIENCE
from tests.sample.atomic_tasks import effect
from tests.sample.models import Effect
from tests.sample.tasks import echo, fail, flaky


@pytest.fixture
def world(database, app, settings, monkeypatch):
    # What Celery itself writes, it writes in its own way; before 5.6 a retry even where none is wanted.
    settings.TASKTREE = {"STORE_TASK_RESULTS": False}
    monkeypatch.setattr(DatabaseBackend, "_store_result", lambda *args, **options: None)
    monkeypatch.setattr(transient, "_FIRST_PAUSE", 0.001)
    with simulation.simulated(app, "transient") as world:
        world.start_worker("w")
        yield world


def lost(vendor):
    if vendor == "postgresql":
        error = OperationalError("the connection is lost")
        error.__cause__ = psycopg.OperationalError("the connection is lost")
        return error
    return OperationalError("database is locked") if vendor == "sqlite" else OperationalError(2013, "Lost connection")


def end_own_connection():
    """Another connection ends this thread's; SQLite has none that could be ended."""
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
    """Count statements and commits; around the one of that number, once, the connection is lost."""
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
            raise lost(connection.vendor)
        return act()

    def executing(execute, sql, params, many, context):
        if sql.startswith("BEGIN"):
            return execute(sql, params, many, context)
        return around(lambda: execute(sql, params, many, context))

    commit = type(connection)._commit

    def committing(self):
        # Only transactions that Django has opened: in autocommit a statement is its own.
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
def test_around_each_step_of_the_attempts(world, build, after):
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
        # Where the answer to a commit was lost, the message of what it has queued is the sweep's to send.
        assert over() or (after and world.recover(over)), f"step {point}: {simulation.states(result.id)}"
        found = (result.state, simulation.states(result.id), attempts(result))
        assert found == expected, f"step {point} of {len(steps)}"


def attempts(result):
    return sorted(NodeRun.objects.filter(run_id=result.id).values_list("attempts", flat=True))


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_atomic_bodies_start_over(world, after):
    """Their own statements are counted too: whatever fails, the effect is there once."""
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
        # Where the answer to the commit was lost, what follows it is the sweep's to do.
        assert over() or world.recover(over), f"step {point}: {simulation.states(result.id)}"
        assert Effect.objects.count() == 1, f"step {point} of {len(steps)}"


def test_a_real_deadlock(database):
    """The victim tries again, and both get through."""
    if database == "default":
        pytest.skip("SQLite has one writer")
    runs = [TreeRun.objects.create(state="STARTED") for _ in range(2)]
    barrier = threading.Barrier(2)
    tries, through = [], []

    def body(first, second):
        def both():
            tries.append(first)
            with transaction.atomic(using=database):
                TreeRun.objects.filter(id=first).update(name="x")
                if len(tries) <= 2:
                    barrier.wait(PATIENCE)
                TreeRun.objects.filter(id=second).update(name="y")

        persist(both)
        through.append(first)
        connections[database].close()

    keys = [run.id for run in runs]
    threads = [threading.Thread(target=body, args=order) for order in (keys, keys[::-1])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(through) == sorted(keys)
    # A victim that begins anew may take its first row before the other one has woken up: then there is one more.
    assert len(tries) >= 3


def test_a_database_that_stays_away(database, settings, monkeypatch):
    settings.TASKTREE = {"DATABASE_RETRY_FOR": 0.2}
    tries = []

    def away():
        tries.append(True)
        raise lost(connections[database].vendor)

    with pytest.raises(OperationalError):
        persist(away)
    assert len(tries) > 1


def test_inside_a_transaction_nothing_is_tried_again(database):
    tries = []

    def away():
        tries.append(True)
        raise lost(connections[database].vendor)

    with pytest.raises(OperationalError), transaction.atomic(using=database):
        persist(away)
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
def test_what_is_transient(error, expected):
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
def test_what_is_transient_on_postgresql(kind, expected):
    error = OperationalError("it failed")
    error.__cause__ = kind("it failed")
    assert is_transient(error) is expected
