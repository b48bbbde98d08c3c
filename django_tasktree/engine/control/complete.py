"""Complete a node from outside, as if its task had succeeded with a given result."""

from uuid import UUID

from django.utils.translation import gettext_noop as _

from django_tasktree.engine.control.reachability import may_run
from django_tasktree.engine.control.reset import lock_run, reopen, reset, undone_children, undone_gathers, unsettle
from django_tasktree.engine.control.waits import note_attempt
from django_tasktree.engine.rules import IS_WAITING
from django_tasktree.engine.transitions import nodes
from django_tasktree.engine.types import Effect, NodeRef
from django_tasktree.exceptions import NotPossible
from django_tasktree.models import NodeRun
from django_tasktree.states import NODE_FAILED, Hold, NodeState


def prepare_completion(run_id: UUID, node_id: UUID, only: UUID | None = None) -> tuple[NodeRef, Effect]:
    """Prepare a node for completion from outside: one that waits, or that failed or was revoked.

    Call it in a transaction; then finish the node with SUCCESS, and call ``advance`` after commit.

    Args:
        run_id: the run.
        node_id: the node.
        only: the task ID of the wait that may be completed; None: the node may be in any of these states.

    Returns:
        The attempt to finish, which is PENDING or WAITING, and the effect on other nodes. A node that was in any other
        state gets a new task ID, so that messages for its earlier attempts are out of date.

    Raises:
        NotPossible: if the node has succeeded, was skipped, is running or has not been reached; or that wait has ended.
    """
    run = lock_run(run_id)
    # Without the lock, a worker could claim and finish the node between this read and the reset.
    row = nodes().select_for_update().get(id=node_id)
    if only is not None and (row.state != NodeState.WAITING or row.task_id != only):
        raise NotPossible(_("node %(node)s does not wait for this answer any more"), node=node_id)
    refuse_completion(row)
    again = 0
    if row.state == NodeState.WAITING:
        if row.is_wait:
            note_attempt(node_id)
        else:
            # The attempt is counted already. Its sub-run is not needed any more.
            nodes().filter(id=node_id).update(sub_run_id=None)
    elif row.state != NodeState.PENDING:
        unsettle(run_id, [node_id])
        reset([node_id])
    if row.state in NODE_FAILED:
        again = reset(undone_gathers(run_id, [node_id]).union(undone_children(run_id, [node_id])))
    reopen(run)
    return NodeRef.of(nodes().get(id=node_id)), Effect(
        again=again, stays=nodes().filter(run_id=run_id, state=NodeState.SUCCESS).count()
    )


def refuse_completion(row: NodeRun) -> None:
    """Raise an error if a node can't be completed: if it neither waits nor failed nor was revoked.

    Raises:
        NotPossible: if the node has succeeded, was skipped, is running or has not been reached.
    """
    if not IS_WAITING.holds(row) and row.state not in NODE_FAILED:
        raise NotPossible(_REFUSED.get(row.state, _("node %(node)s is %(state)s")), node=row.id, state=row.state)
    if row.state == NodeState.REVOKED and row.hold == Hold.REVOKED and not may_run(row.id):
        text = _("node %(node)s was revoked before it was reached: retry it, or complete the node above it")
        raise NotPossible(text, node=row.id)


_REFUSED: dict[str, str] = {
    NodeState.PENDING: _("node %(node)s is %(state)s: it has not been reached yet; complete it once it may run"),
    NodeState.STARTED: _("node %(node)s is %(state)s: its task is running; revoke it with terminate=True first"),
    NodeState.SUCCESS: _("node %(node)s is %(state)s: it can't be completed again"),
    NodeState.SKIPPED: _("node %(node)s is %(state)s already"),
}
