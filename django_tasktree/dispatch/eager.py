"""Run nodes in this process, one after another: with Celery's ``task_always_eager``, and in the tests of projects.

Task functions that run in a transaction of their caller, such as that of a ``TestCase``, are isolated from it: their
``on_commit`` callbacks are called without a commit, and their failed statements do not break the transaction.
"""

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from threading import local
from typing import Any

from django.db import DatabaseError, connections
from django.db.backends.base.base import BaseDatabaseWrapper

logger = logging.getLogger(__name__)


class _Commits:
    """The ``on_commit`` callbacks registered after this object's creation, in the transactions open at that time."""

    def __init__(self) -> None:
        self._before = {connection: len(connection.run_on_commit) for connection in _in_transactions()}

    def run(self) -> None:
        """Call the callbacks, and those that they register, and remove them from the connections.

        Raises:
            Exception: the exception of a callback, unless it was registered with ``robust=True``.
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


class _Frame:
    """A queue of nodes to run.

    Attributes:
        waiting: the calls that have not started; each runs one node.
        running: whether a call is running.
        commits: runs the ``on_commit`` callbacks of transactions that will not commit; None if they do commit.
    """

    def __init__(self, commits: _Commits | None = None) -> None:
        self.waiting: deque[Callable[[], Any]] = deque()
        self.running = False
        self.commits = commits

    def run_commits(self) -> None:
        if self.commits is not None:
            self.commits.run()


class _State(local):
    """The queue of this thread."""

    def __init__(self) -> None:
        self.frame = _Frame()


_state = _State()


def is_on(app: Any) -> bool:
    """Return whether this thread runs published nodes itself.

    Args:
        app: the Celery application.
    """
    return bool(app.conf.task_always_eager) or _state.frame.commits is not None


def run(calls: Iterable[Callable[[], Any]]) -> None:
    """Run nodes and the nodes that they release.

    Only the outermost call runs them, in a loop, so that the depth of a tree needs no stack.

    Args:
        calls: functions that run one node each.
    """
    frame = _state.frame
    frame.waiting.extend(calls)
    if frame.running:
        return
    frame.running = True
    try:
        while frame.waiting:
            frame.waiting.popleft()()
            frame.run_commits()
    finally:
        frame.running = False
        frame.waiting.clear()


@contextmanager
def in_process() -> Iterator[None]:
    """Make this thread run all nodes that are published in the block, whatever ``task_always_eager`` is.

    Inside a transaction, ``on_commit`` callbacks that are registered in the block are called without a commit. Blocks
    may be nested; each runs the nodes that were published in it.
    """
    before, _state.frame = _state.frame, _Frame(_Commits())
    try:
        yield
        _state.frame.run_commits()
    finally:
        _state.frame = before


@contextmanager
def task_function() -> Iterator[None]:
    """Run a task function in the block almost as a worker would, also inside a transaction.

    A failed statement does not break the transaction around it, and ``on_commit`` callbacks are called at the end.
    """
    try:
        with _savepoints():
            yield
    finally:
        _state.frame.run_commits()


@contextmanager
def _savepoints() -> Iterator[None]:
    """Keep a statement that fails in the block from breaking the transactions that are open around the block.

    If no statement fails, all writes of the block are kept, whatever it raises, because a task function in a worker
    runs in autocommit mode. If one fails, the writes of the block are rolled back.
    """
    saved = [(connection, connection.savepoint()) for connection in _in_transactions()]
    try:
        yield
    finally:
        for connection, savepoint in saved:
            _release(connection, savepoint)


def _release(connection: BaseDatabaseWrapper, savepoint: str | None) -> None:
    if savepoint is None:
        # The database has no savepoints.
        return
    if not connection.needs_rollback:
        try:
            connection.savepoint_commit(savepoint)
        except DatabaseError:
            logger.debug("a statement of the task function failed: its writes are rolled back", exc_info=True)
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
