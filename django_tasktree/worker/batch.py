"""Nodes that a process has taken together: those that have not run yet, and outcomes that are not written yet."""

import logging
import threading
from collections import deque
from collections.abc import Collection, Sequence

from django.db import DatabaseError, InterfaceError, connections

from django_tasktree.dispatch.after_commit import finish_and_propagate, finish_together_and_propagate, publish_now
from django_tasktree.encoding.errors import describe
from django_tasktree.engine.database_retries import may_go_away
from django_tasktree.engine.lifecycle.finish_together import can_wait
from django_tasktree.engine.lifecycle.take import give_back
from django_tasktree.engine.types import Dispatch, NodeRef, Outcome
from django_tasktree.exceptions import StaleAttempt
from django_tasktree.states import NodeState

logger = logging.getLogger(__name__)

_thread = threading.local()


class Batch:
    """Nodes that were taken together. Nobody waits for a long task function among them.

    If one of them still runs after the time limit, another thread writes the outcomes of those before it and queues
    those after it again.

    Args:
        taken: the nodes, in the order in which they are to run.
        seconds: the time limit.
    """

    def __init__(self, taken: Collection[Dispatch], seconds: float) -> None:
        self._waiting = deque(taken)
        self._kept: list[tuple[NodeRef, Outcome]] = []
        self._lock = threading.RLock()
        self._is_closed = False
        self._running: Dispatch | None = None
        # A single node keeps nobody waiting.
        self._timer = threading.Timer(max(seconds, 0.001), self._expire) if len(taken) > 1 else None

    def __enter__(self) -> "Batch":
        _thread.batch = self
        if self._timer is not None:
            self._timer.daemon = True
            self._timer.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        _thread.batch = None
        if self._timer is not None:
            self._timer.cancel()
        self.close()

    def next(self) -> Dispatch | None:
        """Return the next node to run; None if none is left."""
        with self._lock:
            self._running = None if self._is_closed or not self._waiting else self._waiting.popleft()
            return self._running

    def is_running(self, node: NodeRef) -> bool:
        """Return whether an attempt is that of the node that runs now: it is claimed already."""
        return self._running is not None and self._running.task_id == node.task_id

    def keep(self, node: NodeRef, outcome: Outcome) -> bool:
        """Keep an outcome, to write it together with others.

        Returns:
            False if it must be written now.
        """
        with self._lock:
            if self._is_closed or self._timer is None or not can_wait(node, outcome):
                return False
            self._kept.append((node, outcome))
            return True

    def close(self) -> None:
        """Write the outcomes, and queue the nodes again that have not run."""
        with self._lock:
            self._is_closed = True
            kept, self._kept = self._kept, []
            waiting, self._waiting = list(self._waiting), deque()
            try:
                _write(kept)
            finally:
                give_back_and_publish(waiting)

    def _expire(self) -> None:
        try:
            self.close()
        except Exception:
            logger.exception("nodes that share a message could not be written: this worker recovers them")
        finally:
            connections.close_all()


def batch_of(node: NodeRef) -> Batch | None:
    """Return the batch in which this thread runs an attempt; None if the attempt has a message of its own."""
    batch: Batch | None = getattr(_thread, "batch", None)
    return batch if batch is not None and batch.is_running(node) else None


def _write(kept: list[tuple[NodeRef, Outcome]]) -> None:
    if not kept:
        return
    try:
        written = finish_together_and_propagate(kept)
    except (DatabaseError, InterfaceError, ValueError) as exc:
        if may_go_away(exc):
            raise
        logger.warning("%d outcomes can't be written together, and are written one by one: %s", len(kept), exc)
        written = set()
    for node, outcome in kept:
        if node.id not in written:
            _write_alone(node, outcome)


def _write_alone(node: NodeRef, outcome: Outcome) -> None:
    try:
        finish_and_propagate(node, outcome)
    except StaleAttempt as exc:
        logger.warning("%s: its outcome (%s) is discarded", exc, outcome.state)
    except (DatabaseError, ValueError) as exc:
        if may_go_away(exc):
            raise
        logger.exception("node %s: the database refuses its outcome", node.id)
        finish_and_propagate(node, Outcome(NodeState.FAILURE, error=describe(exc)))


def give_back_and_publish(taken: Sequence[Dispatch]) -> None:
    """Queue nodes of one run again that were taken and have not run, and send the message of the first one."""
    if taken:
        publish_now(taken[0].run_id, give_back(taken)[:1])
