"""Run a node again, even if it succeeded, with all that depends on it: its subtree, and what gathers it."""

from uuid import UUID

from django.db.models import Count, F
from django.utils.translation import gettext_noop as _

from django_tasktree.engine.deletion import delete_nodes
from django_tasktree.engine.moves import nodes
from django_tasktree.engine.reach import may_run
from django_tasktree.engine.release import make_ready
from django_tasktree.engine.reset import gathering, lock_run, reopen, reset, running_refusal, unsettle
from django_tasktree.engine.specs import Effect
from django_tasktree.engine.subtree import in_batches, subtree
from django_tasktree.exceptions import NotPossible
from django_tasktree.models import NodeRun
from django_tasktree.states import NODE_FINAL, NodeState


def rerun(run_id: UUID, top: UUID) -> Effect:
    """Reset a node and everything that depends on it. Nodes that bodies had added there go: the bodies add them again.

    In the caller's transaction; the caller lets the run advance after commit.

    Args:
        run_id: the run.
        top: the node.

    Raises:
        NotPossible: the node has not ended, or bodies run among what depends on it, or rows of other apps keep a node
            that would have to go.
    """
    run = lock_run(run_id)
    row = nodes().get(id=top)
    refuse_unfinished(row)
    refuse_before_parent(row)
    tops = [top, *gathering(run_id, [top])]
    affected = [key for some in tops for key in subtree(run_id, some)]
    _refuse_running(affected)
    unsettle(run_id, tops)
    removed = _remove_grown(run_id, affected)
    again = reset([key for key in affected if key not in removed])
    if not row.is_gather:
        # A gather node starts once all else under its parent has settled, as ever.
        make_ready(nodes().filter(id=top))
    reopen(run)
    stays = nodes().filter(run_id=run_id, state=NodeState.SUCCESS).count()
    return Effect(again=again, stays=stays, removed=len(removed))


def refuse_unfinished(row: NodeRun) -> None:
    """Refuse to run a node again that has not run.

    Raises:
        NotPossible: it has not.
    """
    never_ran = row.state in (NodeState.SKIPPED, NodeState.REVOKED) and row.attempts == 0
    if row.state not in NODE_FINAL or never_ran:
        raise NotPossible(
            _("node %(node)s is %(state)s: only a node that has run can be run again"), node=row.id, state=row.state
        )


def refuse_before_parent(row: NodeRun) -> None:
    """What ran in an earlier round may not be reached in this one."""
    if not may_run(row.id):
        parent_id, state = nodes().values_list("parent_id", "parent__state").get(id=row.id)
        text = _("node %(node)s can't run now, because node %(parent)s, above it, is %(state)s: run that one first")
        raise NotPossible(text, node=row.id, parent=parent_id, state=state)


def _refuse_running(affected: list[UUID]) -> None:
    for batch in in_batches(iter(affected)):
        # Locked until the reset: none of them is claimed after this look.
        rows = nodes().filter(id__in=batch).select_for_update().order_by("id").values_list("id", "state")
        running = next((key for key, state in rows if state == NodeState.STARTED), None)
        if running is not None:
            raise running_refusal(running)


def _remove_grown(run_id: UUID, affected: list[UUID]) -> set[UUID]:
    within = set(affected)
    tops: dict[UUID, UUID] = {}
    for batch in in_batches(iter(affected)):
        tops |= dict(nodes().filter(parent__in=batch, grown=True).values_list("id", "parent_id"))
    removed = {key for top in tops for key in subtree(run_id, top)}
    for batch in in_batches(iter({parent for parent in tops.values() if parent in within and parent not in removed})):
        gone = nodes().filter(parent__in=batch, grown=True).order_by().values_list("parent_id").annotate(n=Count("*"))
        for parent_id, number in list(gone):
            nodes().filter(id=parent_id).update(child_count=F("child_count") - number)
    delete_nodes(list(removed))
    return removed
