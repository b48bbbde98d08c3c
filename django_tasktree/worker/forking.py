"""No open database connection is handed to a pool process.

SQLite forbids it (https://www.sqlite.org/howtocorrupt.html, 2.6): the child believes that it holds locks which it does
not, its close then deletes the write-ahead log that others still write to, and what they commit is lost. Celery closes
its connections around tasks, but with CELERY_DB_REUSE_MAX it leaves open what its system checks have opened, and its
pools for brokers without an event loop fork from one thread while another one writes.

A pool of connections (Django's option ``pool``, with psycopg) is not used in the worker's parent process at all: a
child closes the pool that it inherits, and with it the sessions of its parent.
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

_no_forks = threading.RLock()
_watching = False
# A child drops what other threads of its parent had: with it would go a connection object, whose end mysqlclient tells
# the server, on the parent's own socket. So each thread's are kept.
_kept: dict[int, list[BaseDatabaseWrapper]] = {}
#: The settings of connections that would use a pool.
_pooled: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()


def connect() -> None:
    """Watch the forks of every worker that has a prefork pool."""
    signals.worker_init.connect(_on_worker_init, dispatch_uid="django_tasktree", weak=False)


@contextmanager
def parent_connections() -> Iterator[None]:
    """Let the worker's parent process use the database: nothing forks meanwhile, and what was opened is closed."""
    with _no_forks:
        try:
            yield
        finally:
            _close_connections()


@contextmanager
def thread_connections() -> Iterator[None]:
    """Let a thread of the worker's parent process use the database; what it has opened is closed.

    Only with SQLite does a fork wait for it. A connection to a server may take as long as the network pleases, and the
    worker must not wait for that; a child does no harm to a connection that it never uses and never drops.
    """
    if _uses_sqlite():
        with parent_connections():
            yield
        return
    _kept[threading.get_ident()] = list(connections.all())
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
    """Let the connections of this thread be opened and closed one by one."""
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
        _no_forks.acquire()
        _close_connections()


def _after_in_parent() -> None:
    if _watching:
        _no_forks.release()


def _after_in_child() -> None:
    # What a task itself forks is its own affair. The lock's owner, the forking thread, is the one that lives on here.
    global _watching
    if _watching:
        _no_forks.release()
        _use_pools()
    _watching = False


def _close_connections() -> None:
    for connection in connections.all(initialized_only=True):
        if not connection.in_atomic_block:
            connection.close()
