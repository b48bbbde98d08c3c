"""Time limits for the statements of a thread that must never wait for long: heartbeats and the sweep.

A transaction that some task leaves open may hold row locks for ever, and a server may stop answering. PostgreSQL gets
its limits with each transaction, since a connection pooler would hand the settings of a session to other clients.
SQLite keeps its own time limit: it has one writer, for which all others wait as a rule.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connections, transaction

from django_tasktree.engine import transient
from django_tasktree.engine.moves import write_alias

#: Seconds that a statement may wait for a lock, and that it may take.
LOCK_WAIT = 1
LONGEST_STATEMENT = 20

_POSTGRESQL = f"SET LOCAL lock_timeout = '{LOCK_WAIT}s'; SET LOCAL statement_timeout = '{LONGEST_STATEMENT}s'"
_MARIADB = f"SET SESSION innodb_lock_wait_timeout = {LOCK_WAIT}, max_statement_time = {LONGEST_STATEMENT}"
# MySQL limits the time of SELECT alone.
_MYSQL = f"SET SESSION innodb_lock_wait_timeout = {LOCK_WAIT}, max_execution_time = {LONGEST_STATEMENT * 1000}"


@contextmanager
def limited_statements() -> Iterator[None]:
    """Limit each statement of the block on the database of the nodes, and repeat none that fails.

    The block must not be inside a transaction. On MySQL and MariaDB the connection keeps the limits.
    """
    connection = connections[write_alias()]
    if connection.vendor == "sqlite":
        yield
        return
    limit = _PerTransaction() if connection.vendor == "postgresql" else _PerConnection()
    with connection.execute_wrapper(limit), transient.without_repeats():
        yield


class _PerTransaction:
    """Sets the limits at the beginning of each transaction; a statement of its own becomes one."""

    def __init__(self) -> None:
        self._limited: Any = None

    def __call__(self, execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: Any) -> Any:
        connection = context["connection"]
        if not connection.in_atomic_block:
            with transaction.atomic(using=connection.alias):
                return self._execute(connection, execute, sql, params, many, context)
        return self._execute(connection, execute, sql, params, many, context)

    def _execute(self, connection: Any, execute: Callable[..., Any], *statement: Any) -> Any:
        outermost = connection.atomic_blocks[0]
        if self._limited is not outermost:
            self._limited = outermost
            # The driver's own cursor: this statement must not come back here.
            with connection.connection.cursor() as cursor:
                cursor.execute(_POSTGRESQL)
        return execute(*statement)


class _PerConnection:
    """Sets the limits of a connection before its first statement."""

    def __init__(self) -> None:
        self._limited: Any = None

    def __call__(self, execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: Any) -> Any:
        connection = context["connection"]
        if self._limited is not connection.connection:
            self._limited = connection.connection
            with connection.wrap_database_errors:
                cursor = connection.connection.cursor()
                cursor.execute(_MARIADB if connection.mysql_is_mariadb else _MYSQL)
                cursor.close()
        return execute(sql, params, many, context)
