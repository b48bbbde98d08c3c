"""An outcome that the database temporarily refuses is written later: no task runs twice, no success is lost."""

from contextlib import contextmanager

import psycopg
import pytest
from django.db import InternalError, OperationalError, connections
from psycopg import errors

from django_tasktree import TaskTree
from django_tasktree.engine import database_retries
from django_tasktree.engine.database_retries import may_go_away
from tests import simulation
from tests.databases import active_alias
from tests.sample.atomic_tasks import effect
from tests.sample.models import Effect
from tests.sample.tasks import change_session, echo

#: Errors of a database that temporarily cannot write: a statement exceeded its time limit, the disk or the memory is
#: full, the server is read-only after a failover, or it is shutting down.
TEMPORARY = {
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
#: Errors that a second try would cause again.
PERMANENT = {
    "postgresql": [errors.ProgramLimitExceeded, errors.StatementTooComplex],
    "mysql": [1054, 1153, 1366],
    "sqlite": ["no such column: x"],
}

#: Changes that a task function may make to its session, so that the server refuses the writes of the engine.
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


def database_error(cause):
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
    monkeypatch.setattr(database_retries, "FIRST_PAUSE", 0.001)
    with simulation.simulated(app, "finish") as world:
        world.start_worker("w")
        yield world


@contextmanager
def refusing(cause, times=1):
    """Make the statement that writes an outcome fail a number of times."""
    left = [cause] * times

    def execute(execute, sql, params, many, context):
        if left and "finished_at = %s" in sql:
            raise database_error(left.pop())
        return execute(sql, params, many, context)

    with connections[active_alias()].execute_wrapper(execute):
        yield
    assert not left


def causes(kinds):
    """Return those of the database of the test."""
    return kinds[connections[active_alias()].vendor]


def test_an_outcome_is_written_after_a_temporary_error(world):
    for cause in causes(TEMPORARY):
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


def test_an_atomic_task_is_repeated(world):
    for cause in causes(TEMPORARY):
        Effect.objects.all().delete()
        tree = TaskTree()
        tree.add_task(effect, ["once"])
        result = tree.apply_async()
        with refusing(cause):
            world.deliver_all("w")
        assert (result.state, Effect.objects.count()) == ("SUCCESS", 1), cause


def test_a_permanent_error_fails_the_node_immediately(world):
    for cause in causes(PERMANENT):
        assert not may_go_away(database_error(cause))
        tree = TaskTree()
        node = tree.add_task(echo, ["done"])
        result = tree.apply_async()
        with refusing(cause):
            world.deliver_all("w")
        row = result[node].node
        assert (row.state, row.attempts, result.state) == ("FAILURE", 1, "FAILURE"), cause
        assert row.error_type == "django.db.utils.OperationalError"


def test_a_session_that_a_task_function_has_changed(world):
    """The server really refuses the writes; the next connection has the settings of the project."""
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
