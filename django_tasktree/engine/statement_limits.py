"""Time limits for the statements of threads that must never wait for long: heartbeats and the sweep.

A transaction that a task leaves open can keep row locks indefinitely, and a server may stop responding.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from django_tasktree.engine import database_retries
from django_tasktree.engine.backends import backend


@contextmanager
def limited_statements() -> Iterator[None]:
    """Limit the time of each statement of the block on the database of the nodes, and turn off retries.

    Do not use the block inside a transaction. On MySQL and MariaDB the connection keeps the limits after the block;
    SQLite has no limits.
    """
    with backend().limited_statements(), database_retries.no_retries():
        yield
