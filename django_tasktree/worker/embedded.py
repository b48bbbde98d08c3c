"""A real Celery worker in a thread of this process, so that one process alone can run trees."""

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
from django_tasktree.worker.bootstep import KeeperStep

#: Seconds that the broker is given to answer, and the worker to become ready.
START_TIMEOUT = 20
#: Seconds that a worker which did not become ready is given to stop.
_PATIENCE = 5
#: Seconds after which the worker looks whether it is to stop.
_LONGEST_POLL = 0.1
#: The same where Celery has an event loop, which without a timer sleeps for up to a second; Celery 5.5 does so even
#: while a thread has just become free for the next message.
_TICK = 0.02
# A failed node's error stands in its row, and whoever embeds the worker shows it: not a second time in the log.
_TOLD_ELSEWHERE = "celery.app.trace"


class WorkerDied(TaskTreeError, RuntimeError):
    """The embedded worker did not start, or stopped by itself; the message and the cause say why."""


@contextmanager
def embedded_worker(
    app: Celery, *, pool: str = "solo", concurrency: int = 1, queues: Sequence[str] | None = None
) -> Iterator["EmbeddedWorker"]:
    """Run a worker as long as the ``with`` block lasts; at its end, tasks that have started are waited for.

    Args:
        app: the Celery application.
        pool: ``"solo"`` or ``"threads"``.
        concurrency: how many threads ``"threads"`` has.
        queues: what to consume from; by default what the application is configured for.

    Raises:
        WorkerDied: the worker could not be started.
    """
    # Solo is the default, for it works everywhere: one thread writes, so SQLite has no two writers to keep apart, and
    # nothing forks from a process that has threads. Threads pay where bodies wait for something else than a database.
    worker = EmbeddedWorker(app, pool, concurrency, queues)
    worker.start()
    try:
        yield worker
    finally:
        worker.stop()


class EmbeddedWorker:
    """The worker and its thread.

    Attributes:
        hostname: the worker's name, as nodes that it ran bear it.
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
        # A daemon, so that a second Ctrl-C ends the process whatever a body is doing.
        self._thread = threading.Thread(target=self._run, name="embedded-celery-worker", daemon=True)

    @property
    def alive(self) -> bool:
        """Whether the worker is running."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Start the worker, and wait until it consumes.

        Raises:
            WorkerDied: it does not.
        """
        self._quieten()
        self._thread.start()
        in_time = self._decided.wait(START_TIMEOUT)
        if self._error is not None or not in_time:
            self.stop(patience=_PATIENCE)
            raise WorkerDied(f"the embedded worker did not start: {self._reason()}") from self._error

    def raise_if_dead(self) -> None:
        """Raise the reason if the worker has stopped by itself.

        Raises:
            WorkerDied: it has.
        """
        if not self.alive:
            raise WorkerDied(f"the embedded worker has stopped: {self._reason()}") from self._error

    def stop(self, patience: float | None = None) -> None:
        """Take no more messages, and wait for the tasks that have started.

        Args:
            patience: how many seconds to wait; None waits as long as they take.
        """
        # As a signal handler of Celery's would: the worker then stops in its own thread, where nothing else is using
        # its channels and connections. The flag belongs to the process, so it is taken back for the next worker.
        flags: Any = state
        flags.should_stop = os.EX_OK
        try:
            self._thread.join(patience)
        finally:
            flags.should_stop = None
        logging.getLogger(_TOLD_ELSEWHERE).removeFilter(_no_failures)

    def _quieten(self) -> None:
        logging.getLogger(_TOLD_ELSEWHERE).addFilter(_no_failures)

    def _reason(self) -> str:
        if self._error is None:
            return f"it was not ready after {START_TIMEOUT} s" if self.alive else "no reason is known"
        return f"{self._error}" or repr(self._error)

    def _run(self) -> None:
        """Everything that the worker does happens in its own thread, and so on its own database connections."""
        try:
            # Celery's own start-up of a worker process, but for its logging, which would seize stdout and stderr. It
            # also tells the tasks the worker's name: a node must know by which worker it was run.
            trace.setup_worker_optimizations(self._app, self.hostname)
            self._ask_broker()
            self._controller = _Controller(
                self._app, self._decided.set, hostname=self.hostname, **self._options, **_ALONE
            )
            self._controller.start()
            self._error = self._controller.error
        except Exception as exc:  # noqa: BLE001  it is raised in the thread that waits for the worker
            self._error = exc
        finally:
            trace.reset_worker_optimizations(self._app)
            # It may have failed between the start of its pool and its first message.
            _allow_waiting()
            connections.close_all()
            self._decided.set()

    def _ask_broker(self) -> None:
        """Fail now where no broker answers: the worker itself would try again for minutes."""
        with self._app.connection_for_read() as connection:
            try:
                connection.ensure_connection(max_retries=2, interval_start=0, timeout=START_TIMEOUT // 2)
            except Exception as exc:
                raise WorkerDied(f"the broker {connection.as_uri()} can't be reached ({exc})") from exc


#: It talks to no other worker, and holds no more messages than it can start: those would be lost with the process.
_ALONE = {
    "without_heartbeat": True,
    "without_mingle": True,
    "without_gossip": True,
    "prefetch_multiplier": 1,
    "loglevel": "WARNING",
}


def _no_failures(record: logging.LogRecord) -> bool:
    """Drop what a task's own failure logs in the worker's thread."""
    return record.levelno >= logging.CRITICAL


class _Controller(WorkController):
    """Celery's worker, with no signal handlers; tells when it is ready, and remembers what ended it."""

    def __init__(self, app: Celery, on_ready: Any, **options: Any) -> None:
        self.error: BaseException | None = None
        self._tell = on_ready
        super().__init__(app=app, **options)

    def on_consumer_ready(self, consumer: Any) -> None:
        _allow_waiting()
        if consumer.hub is None:
            _listen_briefly(consumer.connection)
        else:
            consumer.hub.call_repeatedly(_TICK, _tick)
        self._tell()

    def stop(self, in_sighandler: bool = False, exitcode: int | None = None) -> None:
        # WorkController.start calls this from its except clause, and logs what it caught but does not keep it.
        if exitcode:
            self.error = sys.exc_info()[1]
        super().stop(in_sighandler=in_sighandler, exitcode=exitcode)
        # Celery does not stop the steps of a worker that has not started them all: its process is about to end.
        steps: Any = getattr(self, "steps", ())
        for step in steps:
            if isinstance(step, KeeperStep) and step.obj is not None:
                step.obj.stop()


def _allow_waiting() -> None:
    """Celery forbids the whole process to wait for results once it has a pool; here the main thread may, and does."""
    forbid: Any = _state._set_task_join_will_block  # type: ignore[attr-defined]
    forbid(False)


def _tick() -> None:
    """Do nothing: that the timer is due ends the sleep of the event loop."""


def _listen_briefly(connection: Any) -> None:
    """Let transports that Celery polls return sooner than after its two seconds, so that the worker stops at once."""
    drain = connection.drain_events

    def drain_briefly(timeout: float | None = None, **options: Any) -> Any:
        return drain(timeout=_LONGEST_POLL if timeout is None else min(timeout, _LONGEST_POLL), **options)

    connection.drain_events = drain_briefly


class _ThreadPool(TaskPool):
    """Celery's thread pool, which closes its threads' database connections and drops no task that it holds."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._connections: list[Any] = []
        self.executor = ThreadPoolExecutor(max_workers=self.limit, initializer=self._remember_connections)

    def _remember_connections(self) -> None:
        """Runs in each thread: the connections are the thread's own, so later nobody else could find them."""
        self._connections.extend(connections[alias] for alias in connections)

    def on_stop(self) -> None:
        self.executor.shutdown(wait=True)
        for connection in self._connections:
            connection.inc_thread_sharing()
            connection.close()
        super().on_stop()
