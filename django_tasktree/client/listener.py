"""Listen on PostgreSQL for the ends of runs, with one connection per process and database, while callers wait.

Nothing depends on it but how soon the end is noticed: those who wait continue to poll the database.
"""

import atexit
import logging
import os
import selectors
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

from django.db import connections
from django.db.backends.base.base import NO_DB_ALIAS
from django.db.backends.signals import connection_created

from django_tasktree.client.sleepers import rouse
from django_tasktree.conf import settings
from django_tasktree.engine.notifications import CHANNEL, LISTENERS
from django_tasktree.engine.transitions import write_alias

logger = logging.getLogger(__name__)

#: Pauses of up to so many seconds are short enough without notifications.
SHORT = 0.02
#: How long the connection is kept open when nobody waits, in seconds.
LINGER = 10.0
#: How long to wait for the notification that a listener sends to itself, and for the end of its thread, in seconds.
_PATIENCE = 5.0
#: The first and the longest pause until a broken connection is opened again.
_RETRY, _RETRY_MAX = 1.0, 60.0

#: How pg_stat_activity names the connection.
APPLICATION = "django_tasktree.listener"
#: How soon a dead network is noticed, in seconds, unless Django's settings of the database say otherwise.
_KEEPALIVE = {
    "connect_timeout": 10,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
}
# Another session holds the exclusive lock only for moments; the timeout is for one that was interrupted meanwhile.
_SUBSCRIBE = f"SET lock_timeout = '1s'; LISTEN {CHANNEL}; SELECT pg_advisory_lock_shared({LISTENERS})"


class _NoNotifications(Exception):
    """Notifications can't arrive on such a connection."""


class Listener:
    """Rouse the sleepers of this process when their runs end, by a thread with a connection while they need it.

    Args:
        alias: the database.

    Attributes:
        hears: whether notifications arrive.
    """

    def __init__(self, alias: str) -> None:
        self.alias = alias
        self.hears = False
        self._token = f"listening: {uuid.uuid4()}"
        self._is_useless = False
        self._is_stopping = False
        self._needed_until = 0.0
        self._start_after = 0.0
        self._thread: threading.Thread | None = None
        self._bell: tuple[socket.socket, ...] = ()
        self._lock = threading.Lock()

    def need(self, seconds: float) -> None:
        """Listen for at least so many seconds from now on."""
        with self._lock:
            if self._is_useless or self._is_stopping:
                return
            self._needed_until = max(self._needed_until, time.monotonic() + seconds + LINGER)
            if self._thread is None and time.monotonic() >= self._start_after:
                self._start()

    def _start(self) -> None:
        thread = threading.Thread(target=self._run, name=f"tasktree-listener-{self.alias}", daemon=True)
        try:
            self._bell = socket.socketpair()
            thread.start()
        except (OSError, RuntimeError) as exc:
            # The process can't have more open files, or more threads.
            self._close_bell()
            self._start_after = time.monotonic() + _RETRY_MAX
            logger.warning("waiting callers poll database %r: %s", self.alias, exc)
        else:
            self._thread = thread

    def _close_bell(self) -> None:
        for end in self._bell:
            end.close()
        self._bell = ()

    def stop(self) -> None:
        """Close the connection, and return when it is closed."""
        with self._lock:
            thread = self._thread
            if thread is None:
                return
            self._is_stopping = True
            self._needed_until = 0.0
            self._bell[1].send(b"x")
        thread.join(_PATIENCE)
        self._is_stopping = False

    def _run(self) -> None:
        pause = _RETRY
        while self._goes_on():
            if self._listen_until_it_breaks():
                pause = _RETRY
                continue
            self._wait(pause)
            pause = min(2 * pause, _RETRY_MAX)

    def _listen_until_it_breaks(self) -> bool:
        """Listen while it is needed, and return True; return False if the connection can't be opened or breaks."""
        database: Any = connections[self.alias]
        try:
            self._listen(database)
        except _NoNotifications as exc:
            self._is_useless = True
            logger.info("waiting callers poll database %r: %s", self.alias, exc)
        except (database.Database.Error, OSError) as exc:
            logger.warning("waiting callers poll database %r until notifications arrive: %s", self.alias, exc)
            # Those who have relied on notifications poll more often from now on.
            rouse()
            return False
        return True

    def _goes_on(self) -> bool:
        with self._lock:
            if self._seconds_left() > 0 and not self._is_useless:
                return True
            self._thread = None
            self._close_bell()
            return False

    def _seconds_left(self) -> float:
        return self._needed_until - time.monotonic()

    def _listen(self, database: Any) -> None:
        with self._connected(database) as libpq:
            give_up = time.monotonic() + _PATIENCE
            while (left := self._seconds_left()) > 0:
                if not self.hears and time.monotonic() > give_up:
                    raise TimeoutError("no notification arrived")
                self._wait(left if self.hears else min(left, _PATIENCE), libpq.socket)
                libpq.consume_input()
                while (notification := libpq.notifies()) is not None:
                    self._hear(notification.extra.decode())

    @contextmanager
    def _connected(self, database: Any) -> Iterator[Any]:
        """Yield libpq's connection, on which notifications arrive.

        Raises:
            _NoNotifications: a connection pooler is in between.
        """
        parameters = {**_KEEPALIVE, **database.get_connection_params(), "application_name": APPLICATION}
        with closing(database.Database.connect(**parameters, autocommit=True)) as connection:
            # For notifications that arrive together with the result of a statement.
            connection.add_notify_handler(lambda notification: self._hear(notification.payload))
            (session,) = connection.execute("SELECT pg_backend_pid()").fetchone()
            if session != connection.info.backend_pid:
                raise _NoNotifications("a connection pooler gives each statement another session")
            try:
                connection.execute(_SUBSCRIBE, prepare=False)
                connection.execute("SELECT pg_notify(%s, %s)", [CHANNEL, self._token])
                yield connection.pgconn
            finally:
                self.hears = False

    def _hear(self, payload: str) -> None:
        if payload == self._token:
            self.hears = True
            # Their runs may have ended before.
            rouse()
            return
        try:
            run_id = uuid.UUID(payload)
        except ValueError:
            # The token of another process.
            return
        rouse(run_id)

    def _wait(self, seconds: float, *sockets: int) -> None:
        """Wait until the bell rings, or there is something to read from one of the sockets."""
        with selectors.DefaultSelector() as selector:
            for readable in (self._bell[0].fileno(), *sockets):
                selector.register(readable, selectors.EVENT_READ)
            # The timeout of a selector has a maximum.
            selector.select(min(seconds, 3600))


_listeners: dict[str, Listener] = {}
_inherited: list[Listener] = []
_lock = threading.Lock()


def listen(pause: float, longest_pause: float | None = None) -> bool:
    """Let this process listen while a caller sleeps, if the pause is long and the database can notify.

    Args:
        pause: how long it sleeps, in seconds.
        longest_pause: how long it sleeps if the process listens; by default the same.

    Returns:
        Whether notifications arrive.
    """
    if pause <= SHORT or not settings.listen:
        return False
    alias = write_alias()
    connection: Any = connections[alias]
    if connection.vendor != "postgresql" or connection.Database.__name__ != "psycopg":
        return False
    listener = _listener(alias)
    listener.need(longest_pause or pause)
    return listener.hears


def stop_listening() -> None:
    """Close the connections of all listeners. Those who wait afterwards open new ones."""
    with _lock:
        every = list(_listeners.values())
    for listener in every:
        listener.stop()


def _listener(alias: str) -> Listener:
    with _lock:
        if alias not in _listeners:
            _listeners[alias] = Listener(alias)
        return _listeners[alias]


def _on_connection_created(connection: Any, **_: Any) -> None:
    # Django connects without a database to create or drop one, for tests, which an open connection would prevent.
    if connection.alias == NO_DB_ALIAS:
        stop_listening()


def _forget_parent() -> None:
    """Leave the connections of the parent process alone after a fork: keep references, so that nothing closes them."""
    global _lock
    _lock = threading.Lock()
    _inherited.extend(_listeners.values())
    _listeners.clear()


connection_created.connect(_on_connection_created, dispatch_uid="django_tasktree.client.listener")
os.register_at_fork(after_in_child=_forget_parent)
atexit.register(stop_listening)
