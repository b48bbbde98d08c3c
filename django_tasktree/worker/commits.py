"""Bodies inside a transaction that is not theirs, as a ``TestCase`` opens one: their commits, and their errors."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import DatabaseError, connections
from django.db.backends.base.base import BaseDatabaseWrapper

logger = logging.getLogger(__name__)


class Commits:
    """What has been registered with ``on_commit`` since this was made, in transactions that were open then."""

    def __init__(self) -> None:
        self._before = {connection: len(connection.run_on_commit) for connection in _in_transactions()}

    def run(self) -> None:
        """Run it, and what it registers in its turn; none of it is left for a later commit.

        Raises:
            Exception: what a callback raises, unless it was registered as robust.
        """
        while (callback := self._next()) is not None:
            callback()

    def _next(self) -> Callable[[], Any] | None:
        for connection, before in self._before.items():
            if len(connection.run_on_commit) > before:
                entries: list[Any] = connection.run_on_commit
                _, callback, robust = entries.pop(before)
                return _robust(callback) if robust else callback
        return None


@contextmanager
def errors_logged_on_commit(alias: str) -> Iterator[None]:
    """Let what the block registers with ``on_commit`` be robust: the commit has happened by then, and others follow.

    Args:
        alias: the database.
    """
    before = len(connections[alias].run_on_commit)
    yield
    entries: list[Any] = connections[alias].run_on_commit
    entries[before:] = [(savepoint_ids, callback, True) for savepoint_ids, callback, _ in entries[before:]]


@contextmanager
def savepoints() -> Iterator[None]:
    """Keep a statement that fails in the block from spoiling the transactions that are open around it.

    Without a failed statement all writes of the block stay, whatever it raises: a body in a worker runs in autocommit.
    """
    saved = [(connection, connection.savepoint()) for connection in _in_transactions()]
    try:
        yield
    finally:
        for connection, savepoint in saved:
            _release(connection, savepoint)


def _release(connection: BaseDatabaseWrapper, savepoint: str | None) -> None:
    if savepoint is None:
        # The database has none.
        return
    if not connection.needs_rollback:
        try:
            connection.savepoint_commit(savepoint)
        except DatabaseError:
            logger.debug("a statement failed in the body, so its writes are rolled back", exc_info=True)
        else:
            return
    connection.needs_rollback = False
    connection.savepoint_rollback(savepoint)


def _in_transactions() -> list[BaseDatabaseWrapper]:
    return [connection for connection in connections.all(initialized_only=True) if connection.in_atomic_block]


def _robust(callback: Callable[[], Any]) -> Callable[[], Any]:
    def call() -> None:
        try:
            callback()
        except Exception:
            logger.exception("a robust on_commit callback failed: %r", callback)

    return call
