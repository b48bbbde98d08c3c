"""The bootstep that starts the heartbeat and the sweep in every Celery worker, without any configuration."""

import os
from typing import Any

from celery import bootsteps, signals

from django_tasktree.engine.heartbeats import WorkerSpec
from django_tasktree.recovery.sweep import sweep_if_due
from django_tasktree.worker import identity
from django_tasktree.worker.heartbeat import HeartbeatThreads
from django_tasktree.worker.held_requests import held_for_row


def connect() -> None:
    """Add the step to each worker that starts in this process. Call it once per process."""
    signals.worker_init.connect(_on_worker_init, dispatch_uid="django_tasktree.bootstep", weak=False)


def _on_worker_init(sender: Any, **_: Any) -> None:
    # Celery sends the signal before the worker reads the steps of its application.
    sender.app.steps["worker"].add(HeartbeatStep)


class HeartbeatStep(bootsteps.StartStopStep):
    """Start the heartbeat threads before all other steps and stop them last.

    So the heartbeat continues while a warm shutdown waits for running task functions.
    """

    def __init__(self, worker: Any, **_options: Any) -> None:
        super().__init__(worker)
        self.worker_id = identity.new_worker_id()

    def create(self, worker: Any) -> Any:
        """Return the heartbeat threads of a worker."""
        return HeartbeatThreads(worker.app, lambda: self._describe(worker), sweep_if_due, lambda: _pool_pids(worker))

    def include(self, parent: Any) -> bool:
        """Insert this step before all others, the pool included: Celery only orders a step after its requirements."""
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
    """Return how many tasks a worker runs at the same time; the autoscaler changes that number."""
    pool = getattr(worker, "pool", None)
    return int(getattr(pool, "num_processes", None) or worker.concurrency or 1)


def _pool_pids(worker: Any) -> list[int]:
    """Return the process IDs of a prefork pool; empty for other pools."""
    pool = getattr(getattr(worker, "pool", None), "_pool", None)
    return [process.pid for process in list(getattr(pool, "_pool", None) or ()) if process.pid]
