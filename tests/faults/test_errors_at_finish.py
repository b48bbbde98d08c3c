"""A database that refuses an outcome for a while gets it later: no body runs twice, no success becomes a failure."""

from contextlib import contextmanager

import psycopg
import pytest
from django.db import InternalError, OperationalError, connections
from psycopg import errors

from django_tasktree import TaskTree
from django_tasktree.engine import transient
from django_tasktree.engine.transient import may_go_away
from tests import simulation
from tests.databases import active_alias
from tests.sample.atomic_tasks import effect
from tests.sample.models import Effect
from tests.sample.tasks import change_session, echo

#: What each database says when it can't write for a while: a statement ran into its time limit, the disk or the memory
#: is full, the server is read-only after a failover, it is shutting down.
PASSING = {
    "postgresql": [
        errors.QueryCanceled,
        errors.DiskFull,
        errors.OutOfMemory,
        errors.IoError,
        errors.ReadOnlySqlTransaction,
        errors.InFailedSqlTransaction,
        errors.InternalError_,
        errors.CannotConnectNow,
        errors.IdleInTransactionSessionTimeout,
    ],
    "mysql": [1021, 1037, 1041, 1114, 1205, 1213, 1290, 1317, 1792, 1836, 1969, 2013, 3024],
    "sqlite": ["database or disk is full", "disk I/O error", "attempt to write a readonly database"],
}
#: What the next try would meet again.
HOPELESS = {
    "postgresql": [errors.ProgramLimitExceeded, errors.StatementTooComplex],
    "mysql": [1054, 1153, 1366],
    "sqlite": ["no such column: x"],
}

#: What a task function may do to its connection, so that the server refuses what the engine writes.
SESSIONS = {
    "postgresql": [
        "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
        "SET search_path = nowhere",
        "SET ROLE pg_monitor",
    ],
    "mysql": [
        "SET SESSION TRANSACTION READ ONLY",
        "LOCK TABLES django_migrations READ",
        "LOCK TABLES django_tasktree_noderun READ",
        "USE information_schema",
    ],
    "sqlite": ["PRAGMA query_only = 1"],
}


def made(cause):
    """Return an error as Django raises it."""
    if isinstance(cause, int):
        return OperationalError(cause, "the server says so")
    if isinstance(cause, str):
        return OperationalError(cause)
    error = (InternalError if issubclass(cause, psycopg.InternalError) else OperationalError)("the server says so")
    error.__cause__ = cause("the server says so")
    return error


@pytest.fixture
def world(database, app, settings, monkeypatch):
    settings.TASKTREE = {"STORE_TASK_RESULTS": False}
    monkeypatch.setattr(transient, "_FIRST_PAUSE", 0.001)
    with simulation.simulated(app, "finish") as world:
        world.start_worker("w")
        yield world


@contextmanager
def refusing(cause, times=1):
    """Let the statement that writes an outcome fail so many times."""
    left = [cause] * times

    def execute(execute, sql, params, many, context):
        if left and "finished_at = %s" in sql:
            raise made(left.pop())
        return execute(sql, params, many, context)

    with connections[active_alias()].execute_wrapper(execute):
        yield
    assert not left


def causes(kinds):
    return kinds[connections[active_alias()].vendor]


def test_it_is_written_later(world):
    for cause in causes(PASSING):
        tree = TaskTree()
        node = tree.add_task(echo, ["done"], on_worker_lost="fail")
        below = node.add_task(echo, ["below"])
        result = tree.apply_async()
        with refusing(cause, times=2):
            world.deliver_all("w")
        row = result[node].node
        assert (row.state, row.attempts, result[below].state, result.state) == ("SUCCESS", 1, "SUCCESS", "SUCCESS"), (
            cause
        )


def test_an_atomic_body_starts_over(world):
    for cause in causes(PASSING):
        Effect.objects.all().delete()
        tree = TaskTree()
        tree.add_task(effect, ["once"])
        result = tree.apply_async()
        with refusing(cause):
            world.deliver_all("w")
        assert (result.state, Effect.objects.count()) == ("SUCCESS", 1), cause


def test_what_will_never_be_written_fails_at_once(world):
    for cause in causes(HOPELESS):
        assert not may_go_away(made(cause))
        tree = TaskTree()
        node = tree.add_task(echo, ["done"])
        result = tree.apply_async()
        with refusing(cause):
            world.deliver_all("w")
        row = result[node].node
        assert (row.state, row.attempts, result.state) == ("FAILURE", 1, "FAILURE"), cause
        assert row.error_type == "django.db.utils.OperationalError"


def test_a_session_that_a_task_function_has_changed(world):
    """Real refusals of the server; the next connection is as the settings say."""
    for statement in causes(SESSIONS):
        tree = TaskTree()
        node = tree.add_task(change_session, [statement], on_worker_lost="fail")
        below = node.add_task(echo, ["below"])
        result = tree.apply_async()
        world.deliver_all("w")
        row = result[node].node
        assert (row.state, row.attempts, result[below].state, result.state) == ("SUCCESS", 1, "SUCCESS", "SUCCESS"), (
            statement
        )
