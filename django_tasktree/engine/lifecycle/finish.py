"""finish: after the task function has ended, write the node's outcome and release its children."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from django.db import transaction
from django.db.models import Subquery

from django_tasktree.conf import settings
from django_tasktree.encoding.node_error import NodeError
from django_tasktree.engine.backends import backend
from django_tasktree.engine.backends.base import NO_ERROR
from django_tasktree.engine.database_retries import retry_transient_flagged
from django_tasktree.engine.labels import refuse_taken_labels
from django_tasktree.engine.lifecycle.insert import insert_nodes, lock_run_to_insert
from django_tasktree.engine.lifecycle.release import queued_children, release_children
from django_tasktree.engine.lifecycle.stop import lock_stopped, stop_on_failure, terminates_what_runs
from django_tasktree.engine.rules import FAILURE_COUNTS
from django_tasktree.engine.transitions import SqlMove, nodes, write_alias
from django_tasktree.engine.types import NodeRef, NodeSpec, Outcome, Released, Taker
from django_tasktree.exceptions import StaleAttempt
from django_tasktree.states import NODE_FAILED, RUN_FINAL, Hold, NodeState

#: The maximum number of children among which a process that goes on looks for the only one that may start.
_MAX_CHILDREN_TO_LOOK_AT = 8
_STARTED = (NodeState.STARTED,)
#: State -> the condition under which a node in that state counts as failed; no entry for states that never do.
_COUNTS = {state: FAILURE_COUNTS.given(state=state).q() for state in NODE_FAILED}


def finish(
    node: NodeRef, outcome: Outcome, sources: Iterable[NodeState] = _STARTED, taker: Taker | None = None
) -> Released:
    """Write an attempt's outcome; in the same transaction insert the nodes that the task added and release children.

    Transient database errors are retried, unless the caller has opened a transaction.

    The caller publishes the returned nodes after commit, and then settles: from the node itself if it has children,
    otherwise from its parent.

    Args:
        node: the attempt.
        outcome: how the attempt ended.
        sources: the states that the node may be in: STARTED, unless no worker has started it.
        taker: the process that has run the node, if it may go on with another node. It claims the child if only one may
            start, and the child is in its lane.

    Returns:
        The nodes that were queued, and what else the end of the node led to.

    Raises:
        StaleAttempt: if another attempt has taken over, or the node has finished already; nothing was written.
    """
    wanted = SqlMove(tuple(sources), outcome.state)

    def attempt(again: bool) -> Released:
        try:
            return _try(node, outcome, wanted, taker)
        except StaleAttempt:
            # An earlier try may have committed although its reply was lost.
            done = _already(node, outcome, taker) if again else None
            if done is None:
                raise
            return done

    return retry_transient_flagged(attempt)


def _already(node: NodeRef, outcome: Outcome, taker: Taker | None) -> Released | None:
    mine = nodes().filter(id=node.id, task_id=node.task_id, state=outcome.state, finished_at=outcome.at)
    settled: bool | None = mine.values_list("settled", flat=True).first()
    if settled is None:
        return None
    stopped = node.stop_scope_id is not None and outcome.state in NODE_FAILED
    queued = queued_children(node.run_id, node.id)
    taken = next(iter(backend().taken_at(taker, outcome.at)), None) if taker is not None else None
    terminates = stopped and terminates_what_runs(node)
    return Released(queued, runnable=True, stopped=stopped, terminates=terminates, settled=settled, taken=taken)


def _try(node: NodeRef, outcome: Outcome, wanted: SqlMove, taker: Taker | None) -> Released:
    counts = _COUNTS.get(outcome.state)
    if node.stop_scope_id is None or counts is None:
        return _finish(node, outcome, wanted, taker)
    with transaction.atomic(using=write_alias()):
        lock_stopped(node)
        released = _finish(node, outcome, wanted, None)
        return stop_on_failure(node) if nodes().filter(counts, id=node.id).exists() else released


def _finish(node: NodeRef, outcome: Outcome, wanted: SqlMove, taker: Taker | None) -> Released:
    taker = taker if node.child_count <= _MAX_CHILDREN_TO_LOOK_AT else None
    is_leaf = node.child_count == 0 and not outcome.added
    if is_leaf and backend().write_outcome(node, outcome, wanted, children=0, settles=True):
        return Released(settled=True)
    if 0 < node.child_count <= settings.batch_size and not outcome.added:
        released = backend().finish_parent(node, outcome, wanted, taker)
        if released is not None:
            return released
    with transaction.atomic(using=write_alias()):
        if outcome.added:
            lock_run_to_insert(node.run_id)
        known = node.child_count if outcome.added else None
        if not backend().write_outcome(node, outcome, wanted, children=known):
            if known is None or not backend().write_outcome(node, outcome, wanted):
                raise StaleAttempt.of(node.id, node.task_id)
            _check_labels(node, outcome.added)
        if outcome.added:
            _insert_added(node, outcome.added)
        return release_children(node, outcome, taker)


def _check_labels(node: NodeRef, added: Sequence[NodeSpec]) -> None:
    """Check that no node which others have added meanwhile has the label of one that the task has added.

    Raises:
        InvalidOption: one has.
    """
    labels = [spec.label for spec in added if spec.parent_id == node.id and spec.label is not None]
    refuse_taken_labels(node.run_id, node.id, labels)


def _insert_added(node: NodeRef, added: Sequence[NodeSpec]) -> None:
    """Insert the nodes that a task has added, after the other children of its node.

    Their hold is REVOKED if the run has ended, else that of the node.
    """
    last = nodes().under(node.run_id, node.id).in_order().reverse().values("position")[:1]
    mine = nodes().filter(id=node.id).annotate(last=Subquery(last))
    hold, run_state, position = mine.values_list("hold", "run__state", "last").get()
    first = min(spec.position for spec in added if spec.parent_id == node.id)
    shift = 0 if position is None else max(position + 1 - first, 0)
    if shift:
        added = [replace(one, position=one.position + shift) if one.parent_id == node.id else one for one in added]
    insert_nodes(node.run_id, added, hold=Hold.REVOKED if run_state in RUN_FINAL else Hold(hold), added_by=node.id)


def error_values(error: NodeError = NO_ERROR) -> dict[str, str]:
    """Return the values of the columns that store an error; by default the values for no error."""
    return {
        "error_type": error.type,
        "error_message": error.message,
        "error_args": error.args,
        "traceback": error.traceback,
    }
