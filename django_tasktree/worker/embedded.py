"""A real Celery worker in a thread of this process, so that a single process can run trees."""

import logging
import os
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from celery import Celery, _state
from celery.app import trace
from celery.concurrency.thread import TaskPool
from celery.utils.nodenames import gethostname, nodename
from celery.worker import WorkController, state
from django.db import connections

from django_tasktree.exceptions import TaskTreeError
from django_tasktree.worker.heartbeat import HeartbeatThreads

#: How long to wait until the worker is ready, in seconds; half of it for the broker's answer.
START_TIMEOUT = 20
#: How long to wait until a worker that did not become ready has stopped, in seconds.
_STOP_TIMEOUT = 5
#: The interval at which the worker checks whether it must stop, in seconds.
_MAX_POLL = 0.1
#: The same interval if Celery has an event loop. Without a timer it sleeps for up to a second; Celery 5.5 does so even
#: if a thread has just become free for the next message.
_TICK = 0.02
# The logger of failed tasks. A failed node's error is in its row, and the program that embeds the worker shows it, so
# that it must not appear in the log a second time.
_FAILURE_LOGGER = "celery.app.trace"


class WorkerDied(TaskTreeError, RuntimeError):
    """The embedded worker did not start, or stopped by itself; the message and ``__cause__`` give the reason."""


@contextmanager
def embedded_worker(
    app: Celery, *, pool: str = "solo", concurrency: int = 1, queues: Sequence[str] | None = None
) -> Iterator["EmbeddedWorker"]:
    """Run a worker during the ``with`` block; the end of the block waits for the tasks that have started.

    .. code-block:: python

        with embedded_worker(app):
            tree.apply_async().get()

    Args:
        app: the Celery application.
        pool: ``"solo"`` or ``"threads"``.
        concurrency: the number of threads of the pool ``"threads"``.
        queues: the queues to consume from; by default those that the application is configured for.

    Raises:
        WorkerDied: if the worker could not be started.
    """
    # Solo is the default because it works everywhere: a single thread writes, so that SQLite has no concurrent writers
    # in this worker, and nothing forks from a process that has threads. Threads are useful if task functions wait for
    # something other than a database.
    worker = EmbeddedWorker(app, pool, concurrency, queues)
    worker.start()
    try:
        yield worker
    finally:
        worker.stop()


class EmbeddedWorker:
    """The worker and its thread.

    Attributes:
        hostname: the worker's name, as the column ``worker`` of its nodes shows it.
    """

    def __init__(self, app: Celery, pool: str, concurrency: int, queues: Sequence[str] | None) -> None:
        self.hostname = nodename(f"embedded-{os.getpid()}", gethostname())
        self._app = app
        self._options = {
            "pool": _ThreadPool if pool == "threads" else pool,
            "concurrency": concurrency,
            "queues": list(queues or ()),
        }
        self._decided = threading.Event()
        self._controller: _Controller | None = None
        self._error: BaseException | None = None
        # A daemon thread, so that a second Ctrl-C ends the process whatever a task function is doing.
        self._thread = threading.Thread(target=self._run, name="embedded-celery-worker", daemon=True)

    @property
    def alive(self) -> bool:
        """Whether the worker is running."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Start the worker and wait until it consumes messages.

        Raises:
            WorkerDied: if it does not consume within ``START_TIMEOUT`` seconds.
        """
        self._quieten()
        self._thread.start()
        in_time = self._decided.wait(START_TIMEOUT)
        if self._error is not None or not in_time:
            self.stop(timeout=_STOP_TIMEOUT)
            raise WorkerDied(f"the embedded worker did not start: {self._reason()}") from self._error

    def raise_if_dead(self) -> None:
        """Check that the worker is running.

        Raises:
            WorkerDied: if it has stopped by itself.
        """
        if not self.alive:
            raise WorkerDied(f"the embedded worker has stopped: {self._reason()}") from self._error

    def stop(self, timeout: float | None = None) -> None:
        """Stop consuming messages and wait for the tasks that have started.

        Args:
            timeout: how long to wait, in seconds; None waits until they have ended.
        """
        # As Celery's signal handlers do: the worker then stops in its own thread, where nothing else is using its
        # channels and connections. The flag is global to the process, so reset it for the next worker.
        flags: Any = state
        flags.should_stop = os.EX_OK
        try:
            self._thread.join(timeout)
        finally:
            flags.should_stop = None
        logging.getLogger(_FAILURE_LOGGER).removeFilter(_is_critical)

    def _quieten(self) -> None:
        logging.getLogger(_FAILURE_LOGGER).addFilter(_is_critical)

    def _reason(self) -> str:
        if self._error is None:
            return f"it was not ready after {START_TIMEOUT} s" if self.alive else "no reason is known"
        return f"{self._error}" or repr(self._error)

    def _run(self) -> None:
        """Run the worker from start to stop in its own thread, and so on its own database connections."""
        _WAITING.is_forbidden = True
        try:
            # What Celery does when a worker process starts, except for its logging setup, which would redirect stdout
            # and stderr. It also sets the worker's name in the tasks' requests, which nodes store.
            trace.setup_worker_optimizations(self._app, self.hostname)
            self._check_broker()
            self._controller = _Controller(
                self._app, self._decided.set, hostname=self.hostname, **self._options, **_ALONE
            )
            self._controller.start()
            self._error = self._controller.error
        except Exception as exc:  # noqa: BLE001  raised in the thread that waits for the worker
            self._error = exc
        finally:
            trace.reset_worker_optimizations(self._app)
            # The worker may have failed between the start of its pool, which sets Celery's ban, and on_consumer_ready.
            _set_ban(False)
            connections.close_all()
            self._decided.set()

    def _check_broker(self) -> None:
        """Raise WorkerDied now if no broker answers: the worker itself would retry for minutes."""
        with self._app.connection_for_read() as connection:
            try:
                connection.ensure_connection(max_retries=2, interval_start=0, timeout=START_TIMEOUT // 2)
            except Exception as exc:
                raise WorkerDied(f"the broker {connection.as_uri()} can't be reached ({exc})") from exc


#: Options: do not communicate with other workers, and prefetch no more messages than the pool can start, because
#: prefetched messages would be lost with the process.
_ALONE = {
    "without_heartbeat": True,
    "without_mingle": True,
    "without_gossip": True,
    "prefetch_multiplier": 1,
    "loglevel": "WARNING",
}


def _is_critical(record: logging.LogRecord) -> bool:
    """Filter out the records of failed tasks, which are less than critical."""
    return record.levelno >= logging.CRITICAL


class _Controller(WorkController):
    """Celery's worker without signal handlers; it calls ``on_ready`` and keeps the exception that ended it."""

    def __init__(self, app: Celery, on_ready: Any, **options: Any) -> None:
        self.error: BaseException | None = None
        self._on_ready = on_ready
        super().__init__(app=app, **options)

    def on_consumer_ready(self, consumer: Any) -> None:
        _set_ban(_WAITING)
        if consumer.hub is None:
            _listen_briefly(consumer.connection)
        else:
            consumer.hub.call_repeatedly(_TICK, _tick)
        self._on_ready()

    def stop(self, in_sighandler: bool = False, exitcode: int | None = None) -> None:
        # WorkController.start calls this from its except clause; it logs the exception but does not keep it.
        if exitcode:
            self.error = sys.exc_info()[1]
        super().stop(in_sighandler=in_sighandler, exitcode=exitcode)
        # Celery does not stop the steps of a worker if not all of them have started, because then a worker's process
        # normally ends. This process continues, so stop the threads of the heartbeat.
        steps: Any = getattr(self, "steps", ())
        for step in steps:
            threads = getattr(step, "obj", None)
            if isinstance(threads, HeartbeatThreads):
                threads.stop()


class _WaitingBan(threading.local):
    """Celery's ban on waiting for results, limited to the threads that run tasks: true in those threads alone.

    Celery bans waiting in the whole process once it has a pool. Here other threads may wait, and the main thread does.
    """

    is_forbidden = False

    def __bool__(self) -> bool:
        """Return whether this thread must not wait for results."""
        return self.is_forbidden


_WAITING = _WaitingBan()


def _set_ban(ban: "_WaitingBan | bool") -> None:
    forbid: Any = _state._set_task_join_will_block  # type: ignore[attr-defined]
    forbid(ban)


def _tick() -> None:
    """Do nothing: the timer alone ends the sleep of the event loop."""


def _listen_briefly(connection: Any) -> None:
    """Shorten the polls of transports without an event loop from two seconds, so that the worker stops at once."""
    drain = connection.drain_events

    def drain_briefly(timeout: float | None = None, **options: Any) -> Any:
        return drain(timeout=_MAX_POLL if timeout is None else min(timeout, _MAX_POLL), **options)

    connection.drain_events = drain_briefly


class _ThreadPool(TaskPool):
    """Celery's thread pool, except that it runs all accepted tasks when it stops, and closes its connections."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._connections: list[Any] = []
        self.executor = ThreadPoolExecutor(max_workers=self.limit, initializer=self._begin)

    def _begin(self) -> None:
        """Register the connections of a new thread, where no other thread can find them, for on_stop to close."""
        _WAITING.is_forbidden = True
        self._connections.extend(connections[alias] for alias in connections)

    def on_stop(self) -> None:
        self.executor.shutdown(wait=True)
        for connection in self._connections:
            connection.inc_thread_sharing()
            connection.close()
        super().on_stop()
