"""Two threads in a worker's main process: one records heartbeats, the other recovers lost attempts and sweeps.

The heartbeat depends on nothing but its own database connection. None of this runs in the worker's event loop, which
would stop consuming messages while a query runs or a database is unavailable.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from django.db import DatabaseError, InterfaceError

from django_tasktree.conf import settings
from django_tasktree.dispatch.publisher import over_timed_connection
from django_tasktree.engine.heartbeats import Series, WorkerSpec, beat, sign_off
from django_tasktree.engine.statement_limits import limited_statements
from django_tasktree.worker.abandoned_attempts import AbandonedAttempts
from django_tasktree.worker.fork_safety import thread_connections

logger = logging.getLogger(__name__)

#: How long the worker waits for the first heartbeat, and for the threads to end, in seconds.
PATIENCE = 5
#: Seconds between two tries to remove the worker's row.
_PAUSE = 0.2


class HeartbeatThreads:
    """The heartbeat thread and the recovery thread of a worker.

    Args:
        app: the worker's Celery application.
        describe: returns the current content of the worker's row.
        sweep_if_due: makes a pass of the sweep if one is due.
        pool_pids: returns the process IDs of the worker's pool; empty if the pool has no processes.

    Attributes:
        app: the worker's Celery application.
        describe: returns the current content of the worker's row.
        stopping: set when the worker shuts down; then a pass of the sweep ends early.
    """

    def __init__(
        self,
        app: Any,
        describe: Callable[[], WorkerSpec],
        sweep_if_due: Callable[["HeartbeatThreads"], None],
        pool_pids: Callable[[], Sequence[int]] = tuple,
    ) -> None:
        self.app = app
        self._sweep_if_due = sweep_if_due
        self.describe = describe
        self.stopping = threading.Event()
        self._beaten = threading.Event()
        self._next_beat = 0.0
        #: Held while the worker's row is written or removed.
        self._row = threading.Lock()
        self._has_signed_off = False
        self._failing: set[str] = set()
        self._abandoned_attempts = AbandonedAttempts(app, pool_pids)
        self._series = Series()
        self._threads = [
            threading.Thread(target=self._record_heartbeats, name="tasktree-heartbeat", daemon=True),
            threading.Thread(target=self._recover, name="tasktree-recovery", daemon=True),
        ]

    def start(self) -> None:
        """Start the threads and wait for the first heartbeat, at most ``PATIENCE`` seconds.

        So the worker's row exists when the worker claims its first node, unless the database is unavailable.
        """
        for thread in self._threads:
            thread.start()
        self._beaten.wait(PATIENCE)

    def stop(self) -> None:
        """End the threads and remove the worker's row.

        Give up after ``PATIENCE`` seconds, because the database may be unavailable.
        """
        self.stopping.set()
        end = time.monotonic() + PATIENCE
        for thread in self._threads:
            if thread.is_alive():
                thread.join(max(0.0, end - time.monotonic()))

    def beat_if_due(self) -> None:
        """Record a heartbeat if ``HEARTBEAT_INTERVAL`` has passed.

        The sweep calls this too, before each of its pages: SQLite has one writer, for which the other thread may wait.
        Nothing is recorded while another thread does it, or after the worker's row was removed.
        """
        if time.monotonic() < self._next_beat or not self._row.acquire(blocking=False):
            return
        try:
            if not self._has_signed_off:
                self._next_beat = time.monotonic() + settings.heartbeat_interval
                beat(self.describe, self._series)
        finally:
            self._row.release()

    def _record_heartbeats(self) -> None:
        while not self.stopping.is_set():
            self._attempt("heartbeat", self.beat_if_due)
            self._beaten.set()
            self.stopping.wait(max(0.0, self._next_beat - time.monotonic()))
        self._sign_off()

    def _sign_off(self) -> None:
        """Remove the worker's row; try again for ``PATIENCE`` seconds, as a lock may have timed out."""
        end = time.monotonic() + PATIENCE
        # A sweep that is ending must not write the row again.
        self._has_signed_off = True
        with self._row:
            while not self._attempt("sign-off", lambda: sign_off(self.describe().id)) and time.monotonic() < end:
                time.sleep(_PAUSE)

    def _recover(self) -> None:
        self._beaten.wait()
        while not self.stopping.is_set():
            began = time.monotonic()
            with over_timed_connection():
                self._attempt("recovery of abandoned attempts", self._recover_abandoned_attempts)
                if settings.sweep:
                    self._attempt("sweep", lambda: self._sweep_if_due(self))
            self.stopping.wait(max(0.0, began + settings.heartbeat_interval - time.monotonic()))

    def _recover_abandoned_attempts(self) -> None:
        self._abandoned_attempts.requeue_or_fail(self.describe().id)

    def _attempt(self, what: str, act: Callable[[], None]) -> bool:
        """Call a function and log its exception; warn of database errors once, until the function succeeds.

        Returns:
            Whether it succeeded.
        """
        try:
            with thread_connections(), limited_statements():
                act()
        except Exception as exc:  # noqa: BLE001  the heartbeat must continue whatever happens
            self._log(what, exc)
            return False
        if what in self._failing:
            self._failing.discard(what)
            logger.info("the %s of this worker works again", what)
        return True

    def _log(self, what: str, exc: Exception) -> None:
        is_logged = what in self._failing
        self._failing.add(what)
        if isinstance(exc, (DatabaseError, InterfaceError)):
            level = logging.DEBUG if is_logged else logging.WARNING
            logger.log(level, "the %s of this worker failed (%r) and will be retried", what, exc)
        else:
            logger.error("the %s of this worker failed (%r) and will be retried", what, exc, exc_info=exc)
