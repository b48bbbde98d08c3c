"""Errors of the database that go away by themselves: what was to be done is done again, on a new connection."""

import logging
import random
import time
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from django.db import InterfaceError, OperationalError, connections

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


def is_deadlock(exc: BaseException) -> bool:
    """Tell whether an error of Django's ended a transaction that was in another one's way: it was rolled back."""
    if not isinstance(exc, OperationalError):
        return False
    state = getattr(exc.__cause__, "sqlstate", None)
    return state in _DEADLOCKS or (bool(exc.args) and exc.args[0] == _DEADLOCK)


def persist(act: Callable[[], _Result]) -> _Result:
    """Do something until no transient error comes between, for at most ``DATABASE_RETRY_FOR`` seconds.

    Inside a transaction, which such an error has ended, it is done once: whoever began that must begin again.

    Args:
        act: must be safe to repeat, also where its first try was committed and only the answer was lost.

    Raises:
        OperationalError, InterfaceError: the last one, when time is up.
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


def persist_knowing(act: Callable[[bool], _Result], when: Callable[[BaseException], bool] = is_transient) -> _Result:
    """Like :func:`persist`, for what must know whether an earlier try may have been committed.

    Args:
        act: called with False the first time, and with True from then on.
        when: tells which errors are borne.

    Raises:
        OperationalError, InterfaceError: the last one, when time is up.
    """
    connection = connections[write_alias()]
    if connection.in_atomic_block:
        return act(False)
    end = time.monotonic() + settings.database_retry_for
    pause = _FIRST_PAUSE
    again = False
    while True:
        try:
            return act(again)
        except (OperationalError, InterfaceError) as exc:
            if not when(exc) or time.monotonic() + pause > end:
                raise
            logger.warning("the database failed (%s); it is tried again in %.2f s", str(exc).strip(), pause)
            if not is_deadlock(exc):
                connection.close()
        again = True
        time.sleep(pause * random.uniform(0.5, 1))  # noqa: S311  jitter is no secret
        pause = min(2 * pause, _LONGEST_PAUSE)
