"""The threads in a worker's main process: one keeps its heartbeat, the other one takes care of what was left behind.

The heartbeat depends on nothing but its own database connection. None of this runs in the worker's event loop, which
would stop consuming while a query runs or a database is away.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from django.db import DatabaseError, InterfaceError

from django_tasktree.conf import settings
from django_tasktree.engine.limits import limited_statements
from django_tasktree.engine.workers import Series, WorkerSpec, beat, sign_off
from django_tasktree.worker.dropped import Dropped
from django_tasktree.worker.forking import thread_connections
from django_tasktree.worker.publisher import over_timed_connection

logger = logging.getLogger(__name__)

#: Seconds that the worker waits for the first heartbeat, and for the threads to end.
PATIENCE = 5


def _no_sweep(_keeper: "Keeper") -> None:
    """Nothing sweeps before the app has started."""


#: Makes a pass of the sweep if one is due. Set by the app's start-up: it steers runs, which is above this layer.
sweep_if_due: Callable[["Keeper"], None] = _no_sweep


class Keeper:
    """A worker's heartbeat.

    Args:
        app: the worker's Celery application.
        describe: returns what the worker is at this moment.
        pool_pids: returns the processes of the worker's pool.

    Attributes:
        stopping: set when the worker shuts down; a pass of the sweep that is under way ends early.
    """

    def __init__(
        self, app: Any, describe: Callable[[], WorkerSpec], pool_pids: Callable[[], Sequence[int]] = tuple
    ) -> None:
        self.app = app
        self.describe = describe
        self.stopping = threading.Event()
        self._beaten = threading.Event()
        self._next_beat = 0.0
        self._troubles: set[str] = set()
        self._dropped = Dropped(app, pool_pids)
        self._series = Series()
        self._threads = [
            threading.Thread(target=self._keep_heartbeat, name="tasktree-heartbeat", daemon=True),
            threading.Thread(target=self._take_care, name="tasktree-care", daemon=True),
        ]

    def start(self) -> None:
        """Start the threads, and wait a moment for the first heartbeat: nodes are claimed under its name then."""
        for thread in self._threads:
            thread.start()
        self._beaten.wait(PATIENCE)

    def stop(self) -> None:
        """Remove the worker's row and end the threads; a database that is away is not waited for."""
        self.stopping.set()
        end = time.monotonic() + PATIENCE
        for thread in self._threads:
            if thread.is_alive():
                thread.join(max(0.0, end - time.monotonic()))

    def beat_if_due(self) -> None:
        """Record a heartbeat if it is time; also called between the steps of the sweep, as SQLite has one writer."""
        if time.monotonic() >= self._next_beat:
            self._next_beat = time.monotonic() + settings.heartbeat_interval
            beat(self.describe(), self._series)

    def _keep_heartbeat(self) -> None:
        while not self.stopping.is_set():
            self._attempt("heartbeat", self.beat_if_due)
            self._beaten.set()
            self.stopping.wait(max(0.0, self._next_beat - time.monotonic()))
        self._attempt("sign-off", lambda: sign_off(self.describe().id))

    def _take_care(self) -> None:
        self._beaten.wait()
        while not self.stopping.is_set():
            began = time.monotonic()
            with over_timed_connection():
                self._attempt("care for attempts that were dropped", self._give_up_dropped)
                if settings.sweep:
                    self._attempt("sweep", lambda: sweep_if_due(self))
            self.stopping.wait(max(0.0, began + settings.heartbeat_interval - time.monotonic()))

    def _give_up_dropped(self) -> None:
        self._dropped.give_up(self.describe().id)

    def _attempt(self, what: str, act: Callable[[], None]) -> None:
        """Do what fails as long as the database or the broker is away; that is logged once, not at each try."""
        try:
            with thread_connections(), limited_statements():
                act()
        except Exception as exc:  # noqa: BLE001  whatever it is, the worker must keep its heartbeat
            self._tell(what, exc)
        else:
            if what in self._troubles:
                self._troubles.discard(what)
                logger.info("the %s of this worker works again", what)

    def _tell(self, what: str, exc: Exception) -> None:
        told = what in self._troubles
        self._troubles.add(what)
        if isinstance(exc, (DatabaseError, InterfaceError)):
            level = logging.DEBUG if told else logging.WARNING
            logger.log(level, "the %s of this worker failed (%r); it is tried again", what, exc)
        else:
            logger.error("the %s of this worker failed (%r); it is tried again", what, exc, exc_info=exc)
