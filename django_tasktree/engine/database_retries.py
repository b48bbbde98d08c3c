"""Retry operations that failed with a transient database error, on a new connection unless it was a deadlock."""

import logging
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from django.db import InterfaceError, InternalError, OperationalError, ProgrammingError, connections

from django_tasktree.conf import settings
from django_tasktree.engine.transitions import write_alias

logger = logging.getLogger(__name__)

_Result = TypeVar("_Result")
_Given = ParamSpec("_Given")

#: The first and the longest pause between two tries, in seconds.
FIRST_PAUSE = 0.05
_MAX_PAUSE = 2.0

# https://www.postgresql.org/docs/current/errcodes-appendix.html: serialization failure, deadlock, lock not available,
# too many connections, server shutting down or starting, session timeouts. Class 08 (connection) is transient too.
_SQLSTATES = frozenset({"40001", "40P01", "55P03", "53300", "57P01", "57P02", "57P03", "57P05", "25P03"})
# https://mariadb.com/kb/en/mariadb-error-code-reference/: lock wait timeout, deadlock, too many connections, server
# shutting down, can't connect, gone away, lost during a query, killed.
_ERRNOS = frozenset({1205, 1213, 1040, 1053, 1927, 2002, 2003, 2006, 2013, 2055, 4031})
_DEADLOCKS = frozenset({"40001", "40P01"})
_DEADLOCK = 1213
_SQLITE = ("database is locked", "database table is locked", "database is busy")

# Errors about the statement or its values, which would occur again at the next try: a limit of PostgreSQL (class 54),
# an exception of a trigger (P0); unknown columns, packets that are too large, characters missing in the encoding.
_HOPELESS_SQLSTATES = ("54", "P0")
_HOPELESS_ERRNOS = frozenset({1054, 1153, 1267, 1364, 1366})
_HOPELESS_SQLITE = ("no such", "has no column", "syntax error", "too many SQL variables")

# Lock not available, statement canceled; lock wait timeout, statement timeout of MySQL and of MariaDB.
_TIMEOUTS = frozenset({"55P03", "57014"})
_TIMEOUT_ERRNOS = frozenset({1205, 3024, 1969})

_thread = threading.local()

_FAILURES = (OperationalError, InterfaceError, InternalError)


def is_transient(exc: BaseException) -> bool:
    """Return whether a Django database error is known to be transient.

    Deadlocks, serialization failures, lock timeouts, and lost or refused connections are transient.

    Args:
        exc: the error.
    """
    if isinstance(exc, InterfaceError):
        return True
    if not isinstance(exc, OperationalError):
        return False
    cause: Any = exc.__cause__
    errno = exc.args[0] if exc.args else None
    if isinstance(errno, int):
        return errno in _ERRNOS
    if hasattr(cause, "sqlstate"):
        # An error without an SQLSTATE comes from libpq: the connection was lost or could not be established.
        state: str | None = cause.sqlstate
        return state is None or state in _SQLSTATES or state.startswith("08")
    return any(text in str(exc) for text in _SQLITE)


def is_timeout(exc: BaseException) -> bool:
    """Return whether a statement waited too long for a lock, or took too long. The connection is still usable."""
    if not isinstance(exc, OperationalError):
        return False
    state = getattr(exc.__cause__, "sqlstate", None)
    return state in _TIMEOUTS or (bool(exc.args) and exc.args[0] in _TIMEOUT_ERRNOS) or str(exc) in _SQLITE


def may_go_away(exc: BaseException) -> bool:
    """Return whether another try of a failed statement of the engine may succeed.

    Besides the errors of :func:`is_transient`, these include statement timeouts, a full disk or memory, a server that
    is read-only after a failover, and an aborted transaction. Errors about the statement or its values are excluded.

    Args:
        exc: the error that Django raised.
    """
    if isinstance(exc, InterfaceError):
        return True
    if not isinstance(exc, _FAILURES):
        return False
    errno = exc.args[0] if exc.args else None
    if isinstance(errno, int):
        return errno not in _HOPELESS_ERRNOS
    state: str | None = getattr(exc.__cause__, "sqlstate", None)
    if state is not None:
        return not state.startswith(_HOPELESS_SQLSTATES)
    return not any(text in str(exc) for text in _HOPELESS_SQLITE)


def is_deadlock(exc: BaseException) -> bool:
    """Return whether a transaction was rolled back because of a deadlock or a serialization failure.

    Args:
        exc: the error that Django raised.
    """
    if not isinstance(exc, OperationalError):
        return False
    state = getattr(exc.__cause__, "sqlstate", None)
    return state in _DEADLOCKS or (bool(exc.args) and exc.args[0] == _DEADLOCK)


def retry_transient(act: Callable[[], _Result]) -> _Result:
    """Call a function again while it fails with an error that may go away, for at most ``DATABASE_RETRY_FOR`` seconds.

    After a ``ProgrammingError`` there is one more try, on a new connection, because a task function may have set
    another schema, role or database on the old one.

    Inside a transaction there is only one try, because such an error ends the transaction: the code that began the
    transaction must retry.

    Args:
        act: the function; it must be safe to repeat, even if an earlier call has committed and only the reply was lost.

    Returns:
        The result of the function.

    Raises:
        OperationalError, InterfaceError, InternalError: the last error, when the time is over.
        ProgrammingError: if the statement fails on a new connection, too.
    """
    return retry_transient_flagged(lambda _: act())


def retry_deadlocks(operation: Callable[_Given, _Result]) -> Callable[_Given, _Result]:
    """Decorate a function that opens its own transaction, to retry it after a deadlock.

    Lost connections are not retried, because the outcome of the transaction is unknown.
    """

    @wraps(operation)
    def steady(*args: _Given.args, **kwargs: _Given.kwargs) -> _Result:
        return retry_transient_flagged(lambda _: operation(*args, **kwargs), when=is_deadlock)

    return steady


def retry_transient_flagged(
    act: Callable[[bool], _Result], when: Callable[[BaseException], bool] = may_go_away
) -> _Result:
    """Retry like :func:`retry_transient`, and report to the function whether an earlier try may have committed.

    Args:
        act: the function; its argument is False in the first call and True in all further calls.
        when: returns whether to retry after an error.

    Returns:
        The result of the function.

    Raises:
        OperationalError, InterfaceError, InternalError: the last error, when the time is over.
        ProgrammingError: if the statement fails on a new connection, too, or ``when`` is not the default.
    """
    connection = connections[write_alias()]
    if connection.in_atomic_block:
        return act(False)
    end = time.monotonic() + (0 if getattr(_thread, "never_repeats", False) else settings.database_retry_for)
    pause = FIRST_PAUSE
    again = renewed = False
    while True:
        try:
            return act(again)
        except ProgrammingError as exc:
            if renewed or when is not may_go_away:
                raise
            logger.warning("the database refused a statement (%s); it is tried on a new connection", str(exc).strip())
            connection.close()
            again = renewed = True
            continue
        except _FAILURES as exc:
            if not when(exc) or time.monotonic() + pause > end:
                raise
            logger.warning("the database failed (%s); it is tried again in %.2f s", str(exc).strip(), pause)
            if not is_deadlock(exc):
                connection.close()
        again = True
        time.sleep(pause * random.uniform(0.5, 1))  # noqa: S311  jitter is no secret
        pause = min(2 * pause, _MAX_PAUSE)


@contextmanager
def no_retries() -> Iterator[None]:
    """Turn off the retries of this thread in the block, independent of ``DATABASE_RETRY_FOR``."""
    _thread.never_repeats = True
    try:
        yield
    finally:
        _thread.never_repeats = False
