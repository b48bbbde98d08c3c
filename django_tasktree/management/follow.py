"""Follow a run until it ends."""

import threading
import time
from collections.abc import Callable
from uuid import UUID

from django_tasktree.client.listener import listen
from django_tasktree.client.sleepers import sleeping
from django_tasktree.exceptions import RunNotFound, WaitTimeout
from django_tasktree.management.display.views import QuietView
from django_tasktree.models import TreeRun
from django_tasktree.reporting.progress import Progress, progress_of
from django_tasktree.reporting.workers import listed_workers
from django_tasktree.states import NodeState

#: Seconds between two polls; after a slow poll, at least this many times its duration.
_INTERVAL = 0.2
_PAUSE_FACTOR = 3
#: Seconds after which a hint is shown if no node has started.
PATIENCE = 5
_UNTOUCHED = frozenset({NodeState.QUEUED, NodeState.PENDING})


def follow(
    view: QuietView, *, timeout: float | None, check: Callable[[], None], hint: Callable[[], str] | None = None
) -> TreeRun:
    """Show the progress of a run until it ends, and return its row in the final state.

    Args:
        view: shows the progress.
        timeout: seconds; None waits without a limit.
        check: called before each poll; an exception that it raises ends the wait.
        hint: returns a text that is shown once if no node has started after some seconds.

    Raises:
        WaitTimeout: the run had not ended in time.
        RunNotFound: the run was purged in the meantime.
    """
    started = time.monotonic()
    woken = threading.Event()
    with sleeping(lambda: view.run_id, woken.set), view:
        while True:
            check()
            polled_at = time.monotonic()
            run, progress = poll(view.run_id)
            waited = polled_at - started
            if hint is not None and waited > PATIENCE and _untouched(progress):
                view.hint(hint())
                hint = None
            view.show(run, progress)
            if run.is_over:
                return run
            if timeout is not None and waited >= timeout:
                raise WaitTimeout(f"run {run.id} had not ended after {timeout:g} s")
            pause = _pause(time.monotonic() - polled_at, timeout, waited)
            listen(pause)
            woken.wait(pause)
            woken.clear()


def poll(run_id: UUID) -> tuple[TreeRun, Progress]:
    """Return a run and the counts of its nodes, read in three queries.

    Raises:
        RunNotFound: the run does not exist any more.
    """
    run = TreeRun.objects.filter(id=run_id).first()
    if run is None:
        raise RunNotFound(f"run {run_id} no longer exists: it has been purged")
    return run, progress_of(run)


def why_nothing_starts() -> str:
    """Return a hint why no node has started, from the table of workers."""
    alive = [worker.row for worker in listed_workers() if worker.is_alive]
    if not alive:
        return "Nothing has started: no Celery worker is running. Start one, or use --worker."
    queues = sorted({queue for worker in alive for queue in worker.queues})
    running = "1 worker is running" if len(alive) == 1 else f"{len(alive):,} workers are running"
    return (
        f"Nothing has started, although {running}: all slots may be busy, or no worker consumes from the queue "
        f"(consumed: {', '.join(queues) or 'unknown'})."
    )


def _untouched(progress: Progress) -> bool:
    return bool(progress.by_state) and progress.by_state.keys() <= _UNTOUCHED


def _pause(poll_took: float, timeout: float | None, waited: float) -> float:
    pause = max(_INTERVAL, _PAUSE_FACTOR * poll_took)
    return pause if timeout is None else max(min(pause, timeout - waited), 0.01)
