"""Follow a run until it ends."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from django_tasktree.exceptions import RunNotFound, WaitTimeout
from django_tasktree.management.display.views import QuietView
from django_tasktree.models import TreeRun
from django_tasktree.progress import Progress, progress_of
from django_tasktree.signals import run_finished
from django_tasktree.states import NodeState
from django_tasktree.worker_list import listed_workers

#: Seconds between two looks; a look that takes long is followed by a pause that is longer still.
_INTERVAL = 0.2
_PAUSE_PER_LOOK = 3
#: Seconds after which a run that nothing has moved earns a hint.
_PATIENCE = 5
_UNTOUCHED = frozenset({NodeState.QUEUED, NodeState.PENDING})


def follow(
    view: QuietView, *, timeout: float | None, check: Callable[[], None], hint: Callable[[], str] | None = None
) -> TreeRun:
    """Show a run until it ends.

    Args:
        view: shows it.
        timeout: seconds; None waits for ever.
        check: called at each look; it may raise.
        hint: returns what is shown once where no node is started for a while.

    Returns:
        The run's row, in its final state.

    Raises:
        WaitTimeout: it had not ended in time.
        RunNotFound: it was purged meanwhile.
    """
    started = time.monotonic()
    with _woken_by_end_of(view.run_id) as woken, view:
        while True:
            check()
            looked = time.monotonic()
            run, progress = look(view.run_id)
            waited = looked - started
            if hint is not None and waited > _PATIENCE and _untouched(progress):
                view.hint(hint())
                hint = None
            view.show(run, progress)
            if run.is_over:
                return run
            if timeout is not None and waited >= timeout:
                raise WaitTimeout(f"run {run.id} had not ended after {timeout:g} s")
            woken.wait(_pause(time.monotonic() - looked, timeout, waited))


def look(run_id: UUID) -> tuple[TreeRun, Progress]:
    """Read a run and count its nodes, in two queries.

    Raises:
        RunNotFound: there is none.
    """
    run = TreeRun.objects.filter(id=run_id).first()
    if run is None:
        raise RunNotFound(f"run {run_id} is gone: it has been purged")
    return run, progress_of(run)


def why_nothing_starts() -> str:
    """Say what the table of workers knows about nodes that no worker starts."""
    alive = [each.row for each in listed_workers() if each.is_alive]
    if not alive:
        return "Nothing has started: no Celery worker runs. Start one, or use --worker."
    queues = sorted({queue for worker in alive for queue in worker.queues})
    runs = "1 worker runs" if len(alive) == 1 else f"{len(alive):,} workers run"
    return (
        f"Nothing has started yet, though {runs}: all may be busy, or consume from other queues "
        f"(theirs: {', '.join(queues) or 'unknown'})."
    )


def _untouched(progress: Progress) -> bool:
    return bool(progress.by_state) and progress.by_state.keys() <= _UNTOUCHED


def _pause(look_took: float, timeout: float | None, waited: float) -> float:
    pause = max(_INTERVAL, _PAUSE_PER_LOOK * look_took)
    return pause if timeout is None else max(min(pause, timeout - waited), 0.01)


@contextmanager
def _woken_by_end_of(run_id: UUID) -> Iterator[threading.Event]:
    """An event that is set when the run ends in this process, as with an embedded worker."""
    event = threading.Event()

    def wake(**ended: Any) -> None:
        if ended["run_id"] == run_id:
            event.set()

    run_finished.connect(wake, weak=False)
    try:
        yield event
    finally:
        run_finished.disconnect(wake)
