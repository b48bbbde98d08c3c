"""Skip a node: it counts as if it had succeeded with a given result."""

from uuid import UUID

from django.utils.translation import gettext_noop as _

from django_tasktree.engine.moves import nodes
from django_tasktree.engine.reach import may_run
from django_tasktree.engine.reset import lock_run, reopen, reset, restore, unsettle
from django_tasktree.engine.specs import Effect, NodeRef
from django_tasktree.exceptions import NotPossible
from django_tasktree.models import NodeRun
from django_tasktree.states import NODE_FAILED, Hold, NodeState


def prepare_skip(run_id: UUID, node_id: UUID) -> tuple[NodeRef, Effect]:
    """Get a node ready to be finished from outside: one that waits for a worker, or that failed or was revoked.

    In the caller's transaction; the caller finishes the node with a success, and lets the run advance after commit.

    Returns:
        The attempt to finish; its task id is a new one, so that messages which are on their way are void.

    Raises:
        NotPossible: the node has succeeded, is running, or has not been reached.
    """
    run = lock_run(run_id)
    # Locked, or a worker could claim and finish it between this look and the reset.
    row = nodes().select_for_update().get(id=node_id)
    refuse_skip(row)
    again = 0
    if row.state != NodeState.PENDING:
        unsettle(run_id, [node_id])
        reset([node_id])
    if row.state in NODE_FAILED:
        again = restore(run_id, [node_id], [node_id])
    reopen(run)
    row = nodes().get(id=node_id)
    return _ref(row), Effect(again=again, stays=nodes().filter(run_id=run_id, state=NodeState.SUCCESS).count())


def refuse_skip(row: NodeRun) -> None:
    """Refuse to skip a node that neither waits for a worker nor has failed.

    Raises:
        NotPossible: it has succeeded, is running, or has not been reached.
    """
    waits = row.state in (NodeState.QUEUED, NodeState.RETRY) or (row.state == NodeState.PENDING and row.ready)
    if not waits and row.state not in NODE_FAILED:
        raise NotPossible(_REFUSED.get(row.state, _("node %(node)s is %(state)s")), node=row.id, state=row.state)
    if row.state == NodeState.REVOKED and row.hold == Hold.STOPPED and not may_run(row.id):
        text = _("node %(node)s was revoked before it was reached: retry it, or skip what is above it")
        raise NotPossible(text, node=row.id)


_REFUSED: dict[str, str] = {
    NodeState.PENDING: _("node %(node)s is %(state)s: it has not been reached yet; skip it once it is ready"),
    NodeState.STARTED: _("node %(node)s is %(state)s: its body is running; revoke it with terminate=True first"),
    NodeState.SUCCESS: _("node %(node)s is %(state)s: there is nothing to skip"),
    NodeState.SKIPPED: _("node %(node)s is %(state)s already"),
}


def _ref(row: NodeRun) -> NodeRef:
    return NodeRef(
        row.id, row.run_id, row.parent_id, row.task_id, row.child_count, row.stops, row.limiter, row.max_active
    )
