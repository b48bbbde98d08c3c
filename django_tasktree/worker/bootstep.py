"""What every worker starts by itself: the thread that keeps its heartbeat and sweeps. There is nothing to configure."""

import os
from typing import Any

from celery import bootsteps, signals

from django_tasktree.engine.workers import WorkerSpec
from django_tasktree.worker import identity
from django_tasktree.worker.held import held_for_row
from django_tasktree.worker.keeper import Keeper


def connect() -> None:
    """Add the step to each worker of this process."""
    signals.worker_init.connect(_on_worker_init, dispatch_uid="django_tasktree.bootstep", weak=False)


def _on_worker_init(sender: Any, **_: Any) -> None:
    # Sent before the worker reads which steps its application has.
    sender.app.steps["worker"].add(KeeperStep)


class KeeperStep(bootsteps.StartStopStep):
    """Starts the keeper first of all and stops it last of all: bodies that end in a warm shutdown still have one."""

    def __init__(self, worker: Any, **_options: Any) -> None:
        super().__init__(worker)
        self.worker_id = identity.assume()

    def create(self, worker: Any) -> Any:
        """Make the keeper of a worker."""
        return Keeper(worker.app, lambda: self._describe(worker), lambda: _pool_pids(worker))

    def include(self, parent: Any) -> bool:
        """Stand before all other steps, the pool too; Celery's own order knows only what a step itself needs."""
        included: bool = super().include(parent)
        if included:
            parent.steps.insert(0, parent.steps.pop())
        return included

    def _describe(self, worker: Any) -> WorkerSpec:
        return WorkerSpec(
            id=self.worker_id,
            hostname=worker.hostname,
            pid=os.getpid(),
            pool=str(getattr(worker.pool_cls, "__module__", worker.pool_cls)).rsplit(".", 1)[-1],
            concurrency=worker.concurrency,
            queues=sorted(worker.app.amqp.queues.consume_from),
            holds=held_for_row(_processes(worker)),
        )


def _processes(worker: Any) -> int:
    """Return how many tasks a worker runs at once; the autoscaler changes that."""
    pool = getattr(worker, "pool", None)
    return int(getattr(pool, "num_processes", None) or worker.concurrency or 1)


def _pool_pids(worker: Any) -> list[int]:
    """Return the processes of a prefork pool; no other pool has any."""
    pool = getattr(getattr(worker, "pool", None), "_pool", None)
    return [process.pid for process in list(getattr(pool, "_pool", None) or ()) if process.pid]
