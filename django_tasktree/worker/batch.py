"""Nodes that a process has taken together: those that have not run yet, and outcomes that are not written yet."""

import logging
import threading
from collections import deque
from collections.abc import Collection
from dataclasses import replace

from django.db import DatabaseError, InterfaceError

from django_tasktree.dispatch.after_commit import finish_and_propagate, finish_together_and_propagate
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
    """Nodes that were taken together. Another thread may close it while one of them still runs.

    Args:
        taken: the nodes, in the order in which they are to run.
        keeps: whether to write outcomes together.
        gives_back: whether to queue nodes again that have not run. If their task function was called already, they stay
            lost attempts.
    """

    def __init__(self, taken: Collection[Dispatch], *, keeps: bool = True, gives_back: bool = True) -> None:
        self._waiting = deque(taken)
        self._kept: deque[tuple[NodeRef, Outcome]] = deque()
        self._lock = threading.RLock()
        self._is_closed = False
        self._running: Dispatch | None = None
        self._keeps = keeps and len(taken) > 1
        self._gives_back = gives_back

    def __enter__(self) -> "Batch":
        self._outer = getattr(_thread, "batch", None)
        _thread.batch = self
        return self

    def __exit__(self, *_exc: object) -> None:
        _thread.batch = self._outer
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
            if self._is_closed or not self._keeps or not can_wait(node, outcome):
                return False
            self._kept.append((node, outcome))
            return True

    def close(self) -> None:
        """Write the outcomes, and queue the nodes again that have not run. What has failed is tried again if repeated.

        The caller sends the message of the next node.
        """
        with self._lock:
            self._is_closed = True
            try:
                _write(self._kept)
            finally:
                if self._waiting and self._gives_back:
                    give_back(self._waiting)
                self._waiting.clear()


def batch_of(node: NodeRef) -> Batch | None:
    """Return the batch in which this thread runs an attempt; None if the attempt has a message of its own."""
    batch: Batch | None = getattr(_thread, "batch", None)
    return batch if batch is not None and batch.is_running(node) else None


def _write(kept: deque[tuple[NodeRef, Outcome]]) -> None:
    """Write outcomes, and remove those that are written."""
    if not kept:
        return
    try:
        written = finish_together_and_propagate(kept)
    except (DatabaseError, InterfaceError, ValueError) as exc:
        if may_go_away(exc):
            raise
        logger.warning("%d outcomes can't be written together, and are written one by one: %s", len(kept), exc)
        written = set()
    while kept:
        node, outcome = kept[0]
        if node.id not in written:
            _write_alone(node, outcome)
        kept.popleft()


def _write_alone(node: NodeRef, outcome: Outcome) -> None:
    try:
        finish_and_propagate(node, outcome)
    except StaleAttempt as exc:
        logger.warning("%s: its outcome (%s) is discarded", exc, outcome.state)
    except (DatabaseError, ValueError) as exc:
        if may_go_away(exc):
            raise
        if outcome.companion is not None:
            logger.exception("node %s: its TaskResult can't be stored, and is left out", node)
            _write_alone(node, replace(outcome, companion=None))
            return
        logger.exception("node %s: the database refuses its outcome", node)
        # The database's encoding may lack a character of the result, and so of the error.
        finish_and_propagate(node, Outcome(NodeState.FAILURE, error=describe(exc).in_ascii()))
