"""stop: revoke what has not started in a run or below a node. Task functions that are running may end."""

from uuid import UUID

from django.db.models import F, Q

from django_tasktree.encoding import times
from django_tasktree.engine.history import record
from django_tasktree.engine.rules import FAILURE_COUNTS
from django_tasktree.engine.steps import AT_ONCE, Steps
from django_tasktree.engine.transitions import move, nodes, runs
from django_tasktree.engine.traversal import subtree
from django_tasktree.engine.types import NodeRef, Released
from django_tasktree.models.history_entry import Action
from django_tasktree.models.querysets import NodeRunQuerySet
from django_tasktree.states import NOT_STARTED, RUN_STOPPABLE, Hold, NodeState, OnFailure, RunState

#: The value of the column ``subtree_failed`` of a revoked node: whether its failure counts.
COUNTS = FAILURE_COUNTS.given(state=NodeState.REVOKED).value()


def stop_run(run_id: UUID, state: RunState, reason: str = "") -> int | None:
    """End a run now: none of its nodes starts any more.

    The run's state is written first, because it alone prevents claims.

    Args:
        run_id: the run.
        state: REVOKED or FAILURE.
        reason: the run's error message.

    Returns:
        How many nodes were revoked; None if the run's state is not one of ``RUN_STOPPABLE``.
    """
    values = {"finished_at": times.now(), "error_message": reason, "revision": F("revision") + 1}
    if not move(runs().filter(id=run_id), RUN_STOPPABLE, state, **values):
        return None
    return revoke(nodes().filter(run_id=run_id))


def revoke_waiting(steps: Steps, run_id: UUID) -> int:
    """Revoke the nodes that have not started, in a run whose state prevents claims.

    Args:
        steps: how the nodes are divided into transactions.
        run_id: the run.

    Returns:
        How many nodes were revoked.
    """
    waiting = nodes().filter(run_id=run_id, state__in=NOT_STARTED).values_list("id", flat=True)
    return steps.each(list(waiting), lambda batch: revoke(nodes().filter(id__in=batch)))


def stop_subtree(steps: Steps, run_id: UUID, top: UUID) -> int:
    """Revoke what has not started of a node and all nodes below it. Nodes that tasks add there later are revoked too.

    The subtree is walked until a walk finds nothing new, because running tasks may add nodes at the same time.

    Args:
        steps: how the nodes are divided into transactions.
        run_id: the run.
        top: the node.

    Returns:
        How many nodes were revoked.
    """
    moved = 0
    changed = [True]

    def stop(batch: list[UUID]) -> int:
        some = nodes().filter(id__in=batch)
        changed.append(bool(some.exclude(hold=Hold.REVOKED).update(hold=Hold.REVOKED)))
        return revoke(some)

    while any(changed):
        changed.clear()
        moved += steps.each(subtree(run_id, top), stop, left=~Q(hold=Hold.REVOKED) | Q(state__in=NOT_STARTED))
    return moved


def hold_stopped(node: NodeRef) -> None:
    """Let nothing follow an attempt that ends because its run or subtree was stopped, even if the run is reopened."""
    attempt = nodes().filter(id=node.id, task_id=node.task_id, state=NodeState.STARTED)
    attempt.update(hold=Hold.REVOKED)


def lock_stopped(node: NodeRef) -> None:
    """Lock the run or the node that a failure stops. Call it before the failed node itself is written.

    Without this, two concurrent failures that had each written their own children would deadlock on each other's.
    """
    if node.stop_scope_id == node.run_id:
        runs().filter(id=node.run_id).update(revision=F("revision"))
    elif node.stop_scope_id is not None:
        nodes().filter(id=node.stop_scope_id).update(revision=F("revision"))


def stop_on_failure(node: NodeRef, reason: str = "") -> Released:
    """Carry out ``on_failure="stop"`` or ``"terminate"`` in the transaction in which a node failed.

    Args:
        node: the node.
        reason: a text that names the node and says why it fails, if its task has not failed.

    Returns:
        Nothing to publish, because what follows the node is stopped too; and the run's final state if this ended it.
    """
    if node.stop_scope_id is None:
        return Released()
    terminates = terminates_what_runs(node)
    reason = f"{reason or f'node {node.id} failed'}, and on_failure is {'terminate' if terminates else 'stop'!r}"
    if node.stop_scope_id == node.run_id:
        revoked = stop_run(node.run_id, RunState.FAILURE, reason)
        if revoked is not None:
            record(node.run_id, Action.STOP, node_id=node.id, nodes=revoked, note=reason)
        return Released(stopped=True, terminates=terminates, ended=None if revoked is None else RunState.FAILURE)
    revoked = stop_subtree(AT_ONCE, node.run_id, node.stop_scope_id)
    if revoked:
        record(node.run_id, Action.STOP, node_id=node.stop_scope_id, nodes=revoked, note=reason)
    return Released(stopped=True, terminates=terminates)


def terminates_what_runs(node: NodeRef) -> bool:
    """Return whether a failure of a node terminates the tasks that run in the run or subtree that it stops."""
    terminates = {"id": node.stop_scope_id, "on_failure": OnFailure.TERMINATE}
    if node.stop_scope_id == node.run_id:
        return bool(runs().filter(**terminates).exists())
    return bool(nodes().filter(**terminates).exists())


def revoke(some: NodeRunQuerySet) -> int:
    """Revoke those of some nodes that have not started. Nothing follows them.

    Returns:
        How many nodes were revoked.
    """
    return move(
        some,
        NOT_STARTED,
        NodeState.REVOKED,
        hold=Hold.REVOKED,
        settled=True,
        subtree_failed=COUNTS,
        runnable=False,
        finished_at=times.now(),
    )
