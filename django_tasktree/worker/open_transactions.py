"""Transactions that a task function leaves open: they are rolled back, so that nothing of the engine gets into them.

A write of the engine in such a transaction would not be committed, and its row locks would halt heartbeats, sweeps and
other runs.
"""

import logging
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from celery.exceptions import TaskPredicate
from django.db import Error, connections

from django_tasktree.exceptions import TransactionLeftOpen
from django_tasktree.worker.context import StopPropagation

logger = logging.getLogger(__name__)

_BEGIN = re.compile(r"\s*(BEGIN|START\s+TRANSACTION)\b", re.IGNORECASE)
_END = re.compile(r"\s*(COMMIT|ROLLBACK)\b(?!\s+(WORK\s+)?TO\b)", re.IGNORECASE)
#: https://www.postgresql.org/docs/current/libpq-status.html#LIBPQ-PQTRANSACTIONSTATUS: active, in a transaction, in a
#: failed transaction.
_IN_TRANSACTION = (1, 2, 3)


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
    with begun.watching():
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


def roll_back_leftovers(task_name: str, task_id: str) -> None:
    """Roll back what earlier tasks, or anything else, left open in this thread.

    Args:
        task_name: the name of the task that is about to start, for the log.
        task_id: its task id.
    """
    for alias in _Found().roll_back():
        logger.error(
            "a transaction was left open on database %r before task %s[%s] started in this process: it is rolled back",
            alias,
            task_name,
            task_id,
        )


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
        error = RuntimeError("the transaction was left open")
        for block in reversed(blocks):
            block.__exit__(RuntimeError, error, None)
        return self._end_raw(connection) or bool(blocks)

    def _end_raw(self, connection: Any) -> bool:
        """End a transaction that Django does not know, or that autocommit would end, were it on."""
        if connection.connection is None or connection.in_atomic_block or not connection.settings_dict["AUTOCOMMIT"]:
            return False
        try:
            if not self._is_open(connection):
                return False
            connection.rollback()
            connection.set_autocommit(True)
        except (Error, connection.Database.Error):
            logger.warning("the connection to %r can't be used any more: it is closed", connection.alias, exc_info=True)
            connection.close()
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
            return not raw.get_autocommit()
        return bool(getattr(raw, "in_transaction", False))


class _Begun(_Found):
    """The transactions that have been begun since this was made."""

    def __init__(self) -> None:
        self._depths = {it.alias: len(it.atomic_blocks) for it in connections.all(initialized_only=True)}
        self._begun: set[str] = set()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch the statements on MySQL and MariaDB, whose client can't tell whether a transaction is open."""
        with ExitStack() as stack:
            for connection in connections.all():
                if connection.vendor == "mysql":
                    stack.enter_context(connection.execute_wrapper(self._watcher(connection.alias)))
            yield

    def _watcher(self, alias: str) -> Callable[..., Any]:
        def watch(execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: Any) -> Any:
            result = execute(sql, params, many, context)
            if _BEGIN.match(str(sql)):
                self._begun.add(alias)
            elif _END.match(str(sql)):
                self._begun.discard(alias)
            return result

        return watch

    def _depth(self, connection: Any) -> int:
        return self._depths.get(connection.alias, 0)

    def _is_open(self, connection: Any) -> bool:
        return connection.alias in self._begun or super()._is_open(connection)
