"""Keep database connections open between nodes that share a message.

Celery's Django fixup closes all connections before and after each task, unless ``CELERY_DB_REUSE_MAX`` is set. It does
so for nodes with a message of their own; between nodes that share a message, a connection was used a moment ago. One
that has failed is closed all the same: it may be broken, and the next task function would fail too.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from celery import current_app
from django.db import connections

_thread = threading.local()


@contextmanager
def keep_connections() -> Iterator[None]:
    """Keep Celery's Django fixup from closing the connections of this thread in the block."""
    for fixup in getattr(current_app, "_fixups", ()):
        _watch(getattr(fixup, "_worker_fixup", None))
    before, _thread.keeps = getattr(_thread, "keeps", False), True
    try:
        yield
    finally:
        _thread.keeps = before


def _watch(fixup: Any) -> None:
    """Make a worker's fixup ask whether it may close the connections."""
    if fixup is None or "close_database" in vars(fixup):
        return
    for name in ("close_database", "close_cache"):
        setattr(fixup, name, _unless_kept(getattr(fixup, name)))


def _unless_kept(close: Any) -> Any:
    def close_unless_kept(**options: Any) -> Any:
        if not getattr(_thread, "keeps", False):
            return close(**options)
        for connection in connections.all(initialized_only=True):
            if connection.errors_occurred and not connection.in_atomic_block:
                connection.close()
        return None

    return close_unless_kept
