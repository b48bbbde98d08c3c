"""stop: what has not started in a run, or below a node, is revoked; bodies that run may end."""

from uuid import UUID

from django.db.models import Case, F, When

from django_tasktree import times
from django_tasktree.engine.history import record
from django_tasktree.engine.moves import nodes, write_alias
from django_tasktree.engine.specs import NodeRef, Released
from django_tasktree.engine.subtree import in_batches, subtree
from django_tasktree.models import TreeRun
from django_tasktree.models.history_entry import Action
from django_tasktree.models.querysets import NodeRunQuerySet
from django_tasktree.states import NOT_STARTED, RUN_STOPPABLE, Hold, NodeState, RunState

#: Whether a node's failure counts: as a value of its column ``failed``.
COUNTS = Case(When(allow_failure=True, then=False), default=True)


def stop_run(run_id: UUID, state: RunState, reason: str = "") -> int | None:
    """End a run now: no node of it starts any more.

    The run's own state alone keeps nodes from being claimed, so it is written first.

    Args:
        run_id: the run.
        state: REVOKED, or FAILURE.
        reason: why, for its readers.

    Returns:
        How many nodes were revoked; None where the run had ended already.
    """
    runs = TreeRun.objects.using(write_alias()).filter(id=run_id, state__in=RUN_STOPPABLE)
    now = times.now()
    if not runs.update(state=state, finished_at=now, error_message=reason, revision=F("revision") + 1):
        return None
    return revoke(nodes().filter(run_id=run_id))


def stop_subtree(run_id: UUID, top: UUID) -> int:
    """Revoke what has not started of a node and of all below it; what bodies add there later is revoked as well.

    The subtree is walked until a walk finds nothing new: bodies may be adding nodes at this moment.

    Args:
        run_id: the run.
        top: the node.

    Returns:
        How many nodes were revoked.
    """
    moved, changed = 0, True
    while changed:
        changed = False
        for batch in in_batches(subtree(run_id, top)):
            some = nodes().filter(id__in=batch)
            changed |= bool(some.exclude(hold=Hold.STOPPED).update(hold=Hold.STOPPED))
            moved += revoke(some)
    return moved


def lock_stopped(node: NodeRef) -> None:
    """Let one failure at a time stop a run or a subtree; called before the failed node itself is written.

    Two that had each written their own children first would wait for one another's.
    """
    if node.stops == node.run_id:
        TreeRun.objects.using(write_alias()).filter(id=node.run_id).update(revision=F("revision"))
    elif node.stops is not None:
        nodes().filter(id=node.stops).update(revision=F("revision"))


def stop_on_failure(node: NodeRef) -> Released:
    """Do what ``on_failure="stop"`` asks for, inside the transaction in which a node failed.

    Returns:
        Nothing to publish: whatever follows the node is stopped too.
    """
    if node.stops is None:
        return Released()
    reason = f"node {node.id} failed, and on_failure is 'stop'"
    if node.stops == node.run_id:
        revoked = stop_run(node.run_id, RunState.FAILURE, reason)
        if revoked is not None:
            record(node.run_id, Action.STOP, node_id=node.id, nodes=revoked, note=reason)
        return Released(stopped=True, ended=None if revoked is None else RunState.FAILURE)
    revoked = stop_subtree(node.run_id, node.stops)
    if revoked:
        record(node.run_id, Action.STOP, node_id=node.stops, nodes=revoked, note=reason)
    return Released(stopped=True)


def revoke(some: NodeRunQuerySet) -> int:
    """Revoke those of some nodes that have not started; nothing follows them."""
    return some.filter(state__in=NOT_STARTED).update(
        state=NodeState.REVOKED,
        hold=Hold.STOPPED,
        settled=True,
        failed=COUNTS,
        ready=False,
        finished_at=times.now(),
    )
