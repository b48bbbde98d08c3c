"""Keep pool processes from inheriting open database connections of the worker's parent process.

SQLite forbids it (https://www.sqlite.org/howtocorrupt.html, section 2.6): the child process believes that it holds
locks which it does not hold. When it closes the connection, it deletes the write-ahead log to which other processes
still write, and what they commit is lost. Celery closes its connections around tasks, but with ``CELERY_DB_REUSE_MAX``
it leaves open those that its system checks have opened, and its prefork pools for brokers without an event loop fork
from one thread while another thread writes.

A connection pool (Django's option ``pool``, with psycopg) is not used in the parent process at all: a child process
closes the pool that it inherits, and with it the database sessions of the parent process.
"""

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary

from celery import signals
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

_fork_lock = threading.RLock()
_watching = False
# After a fork, the child process garbage-collects the objects of the parent's other threads. For a connection object,
# mysqlclient would then tell the server, on the socket that it shares with the parent, that the session ends. So keep
# a reference to each thread's connections.
_connections_by_thread: dict[int, list[BaseDatabaseWrapper]] = {}
#: Connection -> its original settings, for connections that are configured to use a pool.
_pooled: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()


def connect() -> None:
    """Protect the forks of every worker that has a prefork pool. Call it once per process."""
    signals.worker_init.connect(_on_worker_init, dispatch_uid="django_tasktree", weak=False)


@contextmanager
def parent_connections() -> Iterator[None]:
    """Let the worker's parent process use the database: forks wait, and the connections are closed at the end."""
    with _fork_lock:
        try:
            yield
        finally:
            _close_connections()


@contextmanager
def thread_connections() -> Iterator[None]:
    """Let a thread of the worker's parent process use the database; its connections are closed at the end.

    A fork waits for the block only if SQLite is in use. A connection to a server may take as long as the network does,
    and the worker must not wait for that. There a child process does no harm to a connection that it neither uses nor
    garbage-collects.
    """
    if _uses_sqlite():
        with parent_connections():
            yield
        return
    _connections_by_thread[threading.get_ident()] = list(connections.all())
    if _watching:
        _leave_pools()
    try:
        yield
    finally:
        _close_connections()


def _uses_sqlite() -> bool:
    return any(connection.vendor == "sqlite" for connection in connections.all())


def _on_worker_init(sender: Any, **_: Any) -> None:
    global _watching
    pool = sender.pool_cls
    name = pool if isinstance(pool, str) else pool.__module__
    if "prefork" not in name:
        return
    if not _watching:
        os.register_at_fork(before=_before_fork, after_in_parent=_after_in_parent, after_in_child=_after_in_child)
        _leave_pools()
    _watching = True


def _leave_pools() -> None:
    """Make this thread open and close its connections one by one, without a pool."""
    every: Sequence[Any] = connections.all()
    for connection in every:
        if connection.settings_dict["OPTIONS"].get("pool"):
            connection.close()
            connection.close_pool()
            _pooled[connection] = connection.settings_dict
            options = {**connection.settings_dict["OPTIONS"], "pool": False}
            connection.settings_dict = {**connection.settings_dict, "OPTIONS": options}


def _use_pools() -> None:
    for connection in connections.all():
        connection.settings_dict = _pooled.pop(connection, connection.settings_dict)


def _before_fork() -> None:
    if _watching:
        _fork_lock.acquire()
        _close_connections()


def _after_in_parent() -> None:
    if _watching:
        _fork_lock.release()


def _after_in_child() -> None:
    # Forks of the task functions themselves are not protected. The forking thread, which holds the lock, is the only
    # thread that continues in the child process.
    global _watching
    if _watching:
        _fork_lock.release()
        _use_pools()
    _watching = False


def _close_connections() -> None:
    for connection in connections.all(initialized_only=True):
        if not connection.in_atomic_block:
            connection.close()
