"""Roll back transactions that a task function leaves open, so that the engine never writes in them.

A write of the engine in such a transaction would not be committed, and its row locks would block heartbeats, sweeps
and other runs.
"""

import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from weakref import WeakSet

from celery.exceptions import TaskPredicate
from django.db import Error, OperationalError, connections
from django.db.backends.signals import connection_created

from django_tasktree.exceptions import StopPropagation, TransactionLeftOpen

logger = logging.getLogger(__name__)

# Unambiguous, so that no statement takes long to match.
_COMMENTS = r"(?:\s|/\*(?:[^*]|\*(?!/))*\*/|(?:--|#)[^\n]*\n)*"
#: Matches a statement that begins a transaction.
BEGIN = re.compile(rf"{_COMMENTS}(BEGIN|START\s+TRANSACTION)\b", re.IGNORECASE)
#: The statuses of PostgreSQL's client for an active statement, an open transaction and a failed transaction:
#: https://www.postgresql.org/docs/current/libpq-status.html#LIBPQ-PQTRANSACTIONSTATUS
_IN_TRANSACTION = (1, 2, 3)
#: MySQL's error ER_CANT_CHANGE_TX_CHARACTERISTICS.
_IS_IN_TRANSACTION = 1568
#: Connections to MySQL and MariaDB that have sent a BEGIN. Their client does not report whether a transaction is open.
_begun: "WeakSet[Any]" = WeakSet()


def connect() -> None:
    """Watch connections to MySQL and MariaDB for transactions that Django does not know. Call it once per process."""
    connection_created.connect(_on_connection, dispatch_uid="django_tasktree.open_transactions")


def _on_connection(connection: Any, **_: Any) -> None:
    _begun.discard(connection)
    if connection.vendor == "mysql" and _watch not in connection.execute_wrappers:
        # Insert it first, because Django's execute_wrapper() removes the last one, and the connection may be opened
        # again inside such a block.
        connection.execute_wrappers.insert(0, _watch)


def _watch(execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: Any) -> Any:
    """Record that a statement begins a transaction; the server is asked later whether it has ended."""
    result = execute(sql, params, many, context)
    if BEGIN.match(str(sql)):
        _begun.add(context["connection"])
    return result


@contextmanager
def none_left_open(task_name: str) -> Iterator[None]:
    """Roll back the transactions that the block opens and does not end, on all databases.

    Transactions that were open before the block remain open.

    Args:
        task_name: the name of the task whose function the block runs.

    Raises:
        TransactionLeftOpen: if there was such a transaction and the block raised no error. If it did, the transaction
            is logged and the error propagates.
    """
    begun = _NewTransactions()
    try:
        yield
    except (TaskPredicate, StopPropagation) as exc:
        left = begun.roll_back()
        if left:
            raise TransactionLeftOpen.by(task_name, left) from exc
        raise
    except BaseException:
        left = begun.roll_back()
        if left:
            logger.error("%s", TransactionLeftOpen.by(task_name, left))  # noqa: TRY400  the task's error follows
        raise
    left = begun.roll_back()
    if left:
        raise TransactionLeftOpen.by(task_name, left)


@contextmanager
def rolled_back_after(what: str) -> Iterator[None]:
    """Roll back the transactions that the project's code opens in the block and does not end, and log an error.

    Args:
        what: what the block calls, as the subject of the log message.
    """
    begun = _NewTransactions()
    try:
        yield
    finally:
        _log(begun.roll_back(), what)


def guard(what: str) -> Callable[[], None]:
    """Return a function that rolls back the open transactions that were begun after this call, and logs an error.

    Args:
        what: what may leave a transaction open, as the subject of the log message.
    """
    begun = _NewTransactions()
    return lambda: _log(begun.roll_back(), what)


def roll_back_leftovers(task_name: str, task_id: str, when: str) -> None:
    """Roll back all open transactions of this thread except those of a ``TestCase``, and log an error.

    Args:
        task_name: the name of the task that is about to start or has ended.
        task_id: its task ID.
        when: ``"before"`` or ``"after"``: whether the code that left them open ran before or after the task.
    """
    _log(_OpenTransactions().roll_back(), f"what ran {when} task {task_name}[{task_id}]")


def _log(aliases: list[str], what: str) -> None:
    for alias in aliases:
        logger.error("%s left a transaction open on database %r, which is rolled back", what, alias)


def discard_connections() -> None:
    """Close all connections of this thread, whatever their state; the next statement opens new ones."""
    _OpenTransactions().roll_back()
    for connection in connections.all(initialized_only=True):
        connection.close()


class _OpenTransactions:
    """The open transactions of this thread, except those of Django's ``TestCase``."""

    def roll_back(self) -> list[str]:
        """Roll back all of them and return the aliases of their databases."""
        return [connection.alias for connection in connections.all(initialized_only=True) if self._clean(connection)]

    def _clean(self, connection: Any) -> bool:
        blocks = connection.atomic_blocks[self._depth(connection) :]
        try:
            _leave(blocks)
            return self._end_raw(connection) or bool(blocks)
        except (Error, connection.Database.Error):
            logger.warning("closed the connection to database %r, which is broken", connection.alias, exc_info=True)
            connection.close()
            return True

    def _end_raw(self, connection: Any) -> bool:
        """Roll back a transaction that Django does not know, or that is open because autocommit is off."""
        if connection.connection is None or connection.in_atomic_block or not connection.settings_dict["AUTOCOMMIT"]:
            return False
        if not self._is_open(connection):
            return False
        connection.rollback()
        connection.set_autocommit(True)
        _begun.discard(connection)
        return True

    def _depth(self, connection: Any) -> int:
        return sum(block._from_testcase for block in connection.atomic_blocks)

    def _is_open(self, connection: Any) -> bool:
        raw = connection.connection
        if not connection.autocommit:
            return True
        if connection.vendor == "postgresql":
            return not raw.closed and (raw.info.transaction_status in _IN_TRANSACTION or not raw.autocommit)
        if connection.vendor == "mysql":
            return not raw.get_autocommit() or _server_is_in_transaction(connection)
        return bool(getattr(raw, "in_transaction", False))


class _NewTransactions(_OpenTransactions):
    """The open transactions of this thread that were begun after the creation of this object."""

    def __init__(self) -> None:
        before = connections.all(initialized_only=True)
        self._depths = {connection.alias: len(connection.atomic_blocks) for connection in before}
        self._open = {
            connection.alias for connection in before if connection in _begun and _server_is_in_transaction(connection)
        }

    def _depth(self, connection: Any) -> int:
        return self._depths.get(connection.alias, 0)

    def _is_open(self, connection: Any) -> bool:
        return connection.alias not in self._open and super()._is_open(connection)


def _leave(blocks: list[Any]) -> None:
    error = RuntimeError("the transaction was left open")
    for block in reversed(blocks):
        block.__exit__(RuntimeError, error, None)


def _server_is_in_transaction(connection: Any) -> bool:
    """Ask MySQL or MariaDB if a BEGIN was sent: a COMMIT, DDL or another statement may have ended the transaction."""
    if connection not in _begun:
        return False
    is_open = _in_transaction_mariadb(connection) if connection.mysql_is_mariadb else _in_transaction_mysql(connection)
    if not is_open:
        _begun.discard(connection)
    return is_open


def _in_transaction_mariadb(connection: Any) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT @@in_transaction")
        return bool(cursor.fetchone()[0])


def _in_transaction_mysql(connection: Any) -> bool:
    """Execute a statement that MySQL refuses inside a transaction; it needs no privilege."""
    with connection.cursor() as cursor:
        try:
            cursor.execute("SET TRANSACTION READ WRITE")
        except OperationalError as exc:
            if exc.args[:1] == (_IS_IN_TRANSACTION,):
                return True
            raise
    return False
