"""Run a node again, even if it succeeded, with all that depends on it: its subtree, and what gathers it."""

from uuid import UUID

from django.db.models import Count, F

from django_tasktree.engine.moves import nodes
from django_tasktree.engine.release import make_ready
from django_tasktree.engine.reset import lock_run, parents_of, reopen, reset, unsettle
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
        NotPossible: the node has not ended, or bodies run among what depends on it.
    """
    run = lock_run(run_id)
    row = nodes().get(id=top)
    if row.state not in NODE_FINAL or (row.state == NodeState.SKIPPED and row.attempts == 0):
        raise NotPossible(f"node {top} is {row.state}: only a node that has run can be run again")
    tops = [top, *_gathering(run_id, row)]
    affected = [key for some in tops for key in subtree(run_id, some)]
    _refuse_running(affected)
    unsettle(run_id, tops)
    removed = _remove_grown(run_id, affected)
    again = reset([key for key in affected if key not in removed])
    make_ready(nodes().filter(id=top))
    reopen(run)
    stays = nodes().filter(run_id=run_id, state=NodeState.SUCCESS).count()
    return Effect(again=again, stays=stays, removed=len(removed))


def _gathering(run_id: UUID, row: NodeRun) -> list[UUID]:
    """The gather nodes that wait for a node: under its parent and all above it, but those that it is below itself."""
    above = parents_of(run_id, [row.id])
    path = above | {row.id}
    found: list[UUID] = []
    gathers = nodes().filter(run_id=run_id, is_gather=True).exclude(id=row.id)
    # Gather nodes under one parent start together: none depends on another.
    through_gather = set(nodes().filter(id__in=path, is_gather=True).values_list("parent_id", flat=True))
    for batch in in_batches(iter(above - through_gather)):
        found += gathers.filter(parent__in=batch).values_list("id", flat=True)
    if None not in through_gather:
        found += gathers.filter(parent__isnull=True).values_list("id", flat=True)
    return found


def _refuse_running(affected: list[UUID]) -> None:
    for batch in in_batches(iter(affected)):
        # Locked until the reset: none of them is claimed after this look.
        rows = nodes().filter(id__in=batch).select_for_update().order_by("id").values_list("id", "state")
        running = next((key for key, state in rows if state == NodeState.STARTED), None)
        if running is not None:
            raise NotPossible(
                f"node {running} is running, and would run twice: wait until it has ended, or revoke it with "
                "terminate=True"
            )


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
    for batch in in_batches(iter(removed)):
        nodes().filter(id__in=batch).delete()
    return removed
