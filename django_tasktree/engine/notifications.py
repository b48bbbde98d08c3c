"""PostgreSQL notifies processes that listen when a run ends; on other databases nothing happens.

A listening process holds a shared advisory lock. The statement that ends a run notifies only if somebody holds it: a
commit with a notification takes a lock of the whole server, so such commits wait for each other.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any
from zlib import crc32

from django.db.backends.base.base import BaseDatabaseWrapper

#: The channel of the notifications. The payload is the ID of a run.
CHANNEL = "django_tasktree_run_ended"
#: The key of the advisory lock that listening sessions share, as two arguments of PostgreSQL's functions.
LISTENERS = "{}, {}".format(*(crc32(word) - 2**31 for word in (b"django_tasktree", b"run_ended")))

# Nobody listens if the exclusive lock is available; it is released at once. CASE evaluates the lock first. There is one
# row per ended run in any case, because Django reads the number of rows.
_ANNOUNCE = f"""
    WITH ended AS ({{update}} RETURNING id)
    SELECT CASE WHEN pg_try_advisory_lock({LISTENERS}) THEN CAST(pg_advisory_unlock({LISTENERS}) AS text)
        ELSE CAST(pg_notify('{CHANNEL}', CAST(id AS text)) AS text) END FROM ended
"""  # noqa: S608  put together from constants


def announcing_ends(connection: BaseDatabaseWrapper) -> AbstractContextManager[Any]:
    """Let the UPDATE in the block, which ends runs, notify the listening processes when it is committed.

    Args:
        connection: the connection on which it is executed.
    """
    return connection.execute_wrapper(_announce) if connection.vendor == "postgresql" else nullcontext()


def _announce(execute: Callable[..., Any], statement: str, params: Any, many: bool, context: Any) -> Any:
    if not statement.startswith("UPDATE "):
        # A wrapper around this one executes statements of its own.
        return execute(statement, params, many, context)
    return execute(_ANNOUNCE.format(update=statement), params, many, context)
