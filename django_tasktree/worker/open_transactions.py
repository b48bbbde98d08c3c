"""Transactions that a task function leaves open: they are rolled back, so that nothing of the engine gets into them.

A write of the engine in such a transaction would not be committed, and its row locks would halt heartbeats, sweeps and
other runs.
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

from django_tasktree.exceptions import TransactionLeftOpen
from django_tasktree.worker.context import StopPropagation

logger = logging.getLogger(__name__)

# Each comment can be read in one way only, so that no statement takes long to match.
_COMMENTS = r"(?:\s|/\*(?:[^*]|\*(?!/))*\*/|(?:--|#)[^\n]*\n)*"
_BEGIN = re.compile(rf"{_COMMENTS}(BEGIN|START\s+TRANSACTION)\b", re.IGNORECASE)
#: https://www.postgresql.org/docs/current/libpq-status.html#LIBPQ-PQTRANSACTIONSTATUS: active, in a transaction, in a
#: failed transaction.
_IN_TRANSACTION = (1, 2, 3)
#: MySQL's ER_CANT_CHANGE_TX_CHARACTERISTICS.
_IS_IN_TRANSACTION = 1568
#: Connections to MySQL and MariaDB, whose client can't tell whether a transaction is open, that have sent a BEGIN.
_begun: "WeakSet[Any]" = WeakSet()


def connect() -> None:
    """Watch connections to MySQL and MariaDB for transactions that Django does not know."""
    connection_created.connect(_on_connection, dispatch_uid="django_tasktree.open_transactions")


def _on_connection(connection: Any, **_: Any) -> None:
    _begun.discard(connection)
    if connection.vendor == "mysql" and _watch not in connection.execute_wrappers:
        # The first, since Django's execute_wrapper() takes the last one away: a block of it may connect anew.
        connection.execute_wrappers.insert(0, _watch)


def _watch(execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: Any) -> Any:
    """Note that a statement begins a transaction; whether that has ended is asked of the server."""
    result = execute(sql, params, many, context)
    if _BEGIN.match(str(sql)):
        _begun.add(context["connection"])
    return result


@contextmanager
def none_left_open(task_name: str) -> Iterator[None]:
    """Roll back the transactions that the block opens and does not end, on all databases.

    Transactions that are open before the block stay as they are.

    Args:
        task_name: the name of the task whose function the block runs.

    Raises:
        TransactionLeftOpen: there was one, and the block did not fail with an error of its own.
    """
    begun = _Begun()
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
    """Roll back the transactions that code of the project opens in the block and does not end, and log an error.

    Args:
        what: what the block calls, for the log.
    """
    begun = _Begun()
    try:
        yield
    finally:
        _log(begun.roll_back(), what)


def guard(what: str) -> Callable[[], None]:
    """Return a function that rolls back what has been begun since, and is open when it is called; it logs an error.

    Args:
        what: what may have left it open, for the log.
    """
    begun = _Begun()
    return lambda: _log(begun.roll_back(), what)


def roll_back_leftovers(task_name: str, task_id: str, when: str) -> None:
    """Roll back what is open in this thread, apart from the transactions of a ``TestCase``, and log an error.

    Args:
        task_name: the name of the task that is about to start, or has ended.
        task_id: its task id.
        when: ``"before"`` or ``"after"`` it.
    """
    _log(_Found().roll_back(), f"what ran {when} task {task_name}[{task_id}]")


def _log(aliases: list[str], what: str) -> None:
    for alias in aliases:
        logger.error("%s left a transaction open on database %r: it is rolled back", what, alias)


def discard_connections() -> None:
    """Close all connections of this thread, in whatever state they are; the next statement opens new ones."""
    _Found().roll_back()
    for connection in connections.all(initialized_only=True):
        connection.close()


class _Found:
    """The transactions that are open, apart from those of Django's ``TestCase``."""

    def roll_back(self) -> list[str]:
        """Roll back every open transaction, and return the aliases of their databases."""
        return [connection.alias for connection in connections.all(initialized_only=True) if self._clean(connection)]

    def _clean(self, connection: Any) -> bool:
        blocks = connection.atomic_blocks[self._depth(connection) :]
        try:
            _leave(blocks)
            return self._end_raw(connection) or bool(blocks)
        except (Error, connection.Database.Error):
            logger.warning("the connection to %r can't be used any more: it is closed", connection.alias, exc_info=True)
            connection.close()
            return True

    def _end_raw(self, connection: Any) -> bool:
        """End a transaction that Django does not know, or that autocommit would end, were it on."""
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


class _Begun(_Found):
    """The transactions that have been begun since this was made."""

    def __init__(self) -> None:
        before = connections.all(initialized_only=True)
        self._depths = {it.alias: len(it.atomic_blocks) for it in before}
        self._open = {it.alias for it in before if it in _begun and _server_is_in_transaction(it)}

    def _depth(self, connection: Any) -> int:
        return self._depths.get(connection.alias, 0)

    def _is_open(self, connection: Any) -> bool:
        return connection.alias not in self._open and super()._is_open(connection)


def _leave(blocks: list[Any]) -> None:
    error = RuntimeError("the transaction was left open")
    for block in reversed(blocks):
        block.__exit__(RuntimeError, error, None)


def _server_is_in_transaction(connection: Any) -> bool:
    """Ask MySQL or MariaDB, where a BEGIN was sent: a COMMIT, DDL and other statements may have ended it."""
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
    """Try what MySQL refuses within a transaction; every user may."""
    with connection.cursor() as cursor:
        try:
            cursor.execute("SET TRANSACTION READ WRITE")
        except OperationalError as exc:
            if exc.args[:1] == (_IS_IN_TRANSACTION,):
                return True
            raise
    return False
