"""Errors of the database that go away by themselves: what was to be done is done again, on a new connection."""

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
from django_tasktree.engine.moves import write_alias

logger = logging.getLogger(__name__)

_Result = TypeVar("_Result")
_Given = ParamSpec("_Given")

#: Seconds between two tries: the first pause, and the longest.
_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 2.0

# https://www.postgresql.org/docs/current/errcodes-appendix.html: serialization failure, deadlock, lock not available,
# too many connections, the server shuts down or starts; and class 08, the connection.
_SQLSTATES = frozenset({"40001", "40P01", "55P03", "53300", "57P01", "57P02", "57P03", "57P05", "25P03"})
# https://mariadb.com/kb/en/mariadb-error-code-reference/: lock wait timeout, deadlock, too many connections, the server
# shuts down, can't connect, gone away, lost during a query, killed.
_ERRNOS = frozenset({1205, 1213, 1040, 1053, 1927, 2002, 2003, 2006, 2013, 2055, 4031})
_DEADLOCKS = frozenset({"40001", "40P01"})
_DEADLOCK = 1213
_SQLITE = ("database is locked", "database table is locked", "database is busy")

# Errors about the statement or its values, which the next try would meet again: a limit of PostgreSQL (class 54), an
# exception of a trigger (P0); unknown columns, packets that are too large, characters that the table's encoding lacks.
_HOPELESS_SQLSTATES = ("54", "P0")
_HOPELESS_ERRNOS = frozenset({1054, 1153, 1267, 1364, 1366})
_HOPELESS_SQLITE = ("no such", "has no column", "syntax error", "too many SQL variables")

# Lock not available, statement cancelled; lock wait timeout, statement timeout of MySQL and of MariaDB.
_TIMEOUTS = frozenset({"55P03", "57014"})
_TIMEOUT_ERRNOS = frozenset({1205, 3024, 1969})

_thread = threading.local()

_FAILURES = (OperationalError, InterfaceError, InternalError)


def is_transient(exc: BaseException) -> bool:
    """Tell whether an error of Django's is one that may be gone at the next try.

    Args:
        exc: deadlocks, serialization failures, timeouts of locks, and lost or refused connections are.
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
        # Without one, the error is libpq's own: the connection is lost, or there is none to be had.
        state: str | None = cause.sqlstate
        return state is None or state in _SQLSTATES or state.startswith("08")
    return any(text in str(exc) for text in _SQLITE)


def is_timeout(exc: BaseException) -> bool:
    """Return whether a statement waited too long for a lock, or took too long; the connection is good all the same."""
    if not isinstance(exc, OperationalError):
        return False
    state = getattr(exc.__cause__, "sqlstate", None)
    return state in _TIMEOUTS or (bool(exc.args) and exc.args[0] in _TIMEOUT_ERRNOS) or str(exc) in _SQLITE


def may_go_away(exc: BaseException) -> bool:
    """Return whether a statement of the engine that failed with an error of Django's is worth another try.

    Time-outs of statements, a disk or a memory that is full, a server that is read-only after a failover, and a
    transaction that was left aborted may be gone at the next try, as all that :func:`is_transient` names.

    Args:
        exc: the error; only those about the statement or its values are not worth it.
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
    """Tell whether an error of Django's ended a transaction that was in another one's way: it was rolled back."""
    if not isinstance(exc, OperationalError):
        return False
    state = getattr(exc.__cause__, "sqlstate", None)
    return state in _DEADLOCKS or (bool(exc.args) and exc.args[0] == _DEADLOCK)


def persist(act: Callable[[], _Result]) -> _Result:
    """Repeat something while it fails with an error that may go away, for at most ``DATABASE_RETRY_FOR`` seconds.

    A ``ProgrammingError`` is worth one more try, on a new connection: a task function may have left another schema,
    role or database on the old one.

    Inside a transaction, which such an error ends, it is done once: the code that began the transaction must repeat it.

    Args:
        act: must be safe to repeat, also where its first try was committed and only the answer was lost.

    Raises:
        OperationalError, InterfaceError, InternalError: the last error, when time is up.
        ProgrammingError: the statement is refused on a new connection, too.
    """
    return persist_knowing(lambda _: act())


def through_deadlocks(verb: Callable[_Given, _Result]) -> Callable[_Given, _Result]:
    """Let a function that opens a transaction of its own try again where that was the victim of a deadlock.

    Connections that are lost are not borne: nobody could tell whether the verb was carried out.
    """

    @wraps(verb)
    def steady(*args: _Given.args, **kwargs: _Given.kwargs) -> _Result:
        return persist_knowing(lambda _: verb(*args, **kwargs), when=is_deadlock)

    return steady


def persist_knowing(act: Callable[[bool], _Result], when: Callable[[BaseException], bool] = may_go_away) -> _Result:
    """Like :func:`persist`, for what must know whether an earlier try may have been committed.

    Args:
        act: called with False the first time, and with True from then on.
        when: returns whether an error is worth another try.

    Raises:
        OperationalError, InterfaceError, InternalError: the last error, when time is up.
    """
    connection = connections[write_alias()]
    if connection.in_atomic_block:
        return act(False)
    end = time.monotonic() + (0 if getattr(_thread, "never_repeats", False) else settings.database_retry_for)
    pause = _FIRST_PAUSE
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
        pause = min(2 * pause, _LONGEST_PAUSE)


@contextmanager
def without_repeats() -> Iterator[None]:
    """Let statements of the block in this thread fail at once, whatever ``DATABASE_RETRY_FOR`` is."""
    _thread.never_repeats = True
    try:
        yield
    finally:
        _thread.never_repeats = False
