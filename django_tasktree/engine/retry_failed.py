"""Run again what failed or was revoked in a run, or below a node, and what was not reached because of it."""

from collections.abc import Collection
from uuid import UUID

from django.utils.translation import gettext_noop as _

from django_tasktree.engine.moves import nodes
from django_tasktree.engine.reach import CAN_NOT_RUN, MAY_RUN, may_run, reached, refuse_dead_end
from django_tasktree.engine.reset import lock_run, release, reopen, reset, restore, unsettle
from django_tasktree.engine.specs import Effect
from django_tasktree.engine.subtree import in_batches, subtree
from django_tasktree.exceptions import NotPossible
from django_tasktree.models import TreeRun
from django_tasktree.states import NODE_FAILED, Hold, NodeState


def retry_failed(run_id: UUID, top: UUID | None = None) -> Effect:
    """Reset nodes that failed or were revoked; what succeeded stays as it is, failure handlers included.

    In the caller's transaction; the caller lets the run advance after commit.

    Args:
        run_id: the run.
        top: only this node and what is below it; None: the whole run.

    Raises:
        NotPossible: nothing has failed there.
    """
    run = lock_run(run_id)
    failed = _failed(run_id, top)
    if not failed:
        raise nothing_failed(run_id, top)
    if top is not None:
        refuse_unreachable(top)
    # Whatever follows from the others follows from one of these, above them.
    heads = reached(failed)
    _take_back_stops(run_id, top)
    again, waiting = _run_again(run, failed, heads)
    stays = nodes().filter(run_id=run_id, state=NodeState.SUCCESS).count()
    return Effect(again=again + waiting, stays=stays)


def retry_leaves(run_id: UUID, ids: Collection[UUID]) -> tuple[list[UUID], int]:
    """Reset those of some nodes that failed, have nothing below them, and may run again: many in few statements.

    In the caller's transaction; the caller lets the run advance after commit.

    Args:
        run_id: the run.
        ids: of nodes of it; of one batch, at most.

    Returns:
        The nodes that were reset, and how many others wait again for them. All else is left as it is.

    Raises:
        NotPossible: the run is a draft.
    """
    run = lock_run(run_id)
    leaves = nodes().filter(MAY_RUN, run_id=run_id, id__in=ids, state__in=NODE_FAILED, child_count=0)
    failed = list(leaves.values_list("id", flat=True))
    if not failed:
        return [], 0
    _, waiting = _run_again(run, failed, failed)
    return failed, waiting


def _run_again(run: TreeRun, failed: list[UUID], heads: list[UUID]) -> tuple[int, int]:
    """Reset nodes that failed, and all that followed from it.

    Args:
        run: the run, which is locked.
        failed: the nodes.
        heads: those of them that had been reached.

    Returns:
        How many of them were reset, and how many others wait again.
    """
    unsettle(run.id, heads)
    again = reset(failed)
    waiting = restore(run.id, failed, heads)
    release(run.id, failed)
    reopen(run)
    return again, waiting


def nothing_failed(run_id: UUID, top: UUID | None) -> NotPossible:
    """Return the error for a run, or a node with all below it, in which nothing has failed."""
    if top is None:
        text = _("nothing in run %(run)s has failed or was revoked, so there is nothing to retry")
        return NotPossible(text, run=run_id)
    text = _("nothing in node %(node)s or below it has failed or was revoked, so there is nothing to retry")
    return NotPossible(text, node=top)


def _take_back_stops(run_id: UUID, top: UUID | None) -> None:
    if top is None:
        nodes().filter(run_id=run_id, hold=Hold.STOPPED).update(hold=Hold.NONE)
        return
    for batch in in_batches(subtree(run_id, top)):
        nodes().filter(id__in=batch, hold=Hold.STOPPED).update(hold=Hold.NONE)


def refuse_unreachable(top: UUID) -> None:
    """Refuse to retry a node that nothing would lead to.

    Raises:
        NotPossible: the node, or one above it, keeps it from running.
    """
    row = nodes().select_related("parent").get(id=top)
    if row.state == NodeState.SKIPPED:
        refuse_dead_end(top, CAN_NOT_RUN, node=top)
    if row.parent is None:
        return
    if row.state in NODE_FAILED and row.parent.state in NODE_FAILED and not may_run(top):
        text = _("node %(node)s can't run, because the node above it failed as well: retry %(parent)s")
        raise NotPossible(text, node=top, parent=row.parent_id)
    refuse_dead_end(row.parent.id, CAN_NOT_RUN, node=top)


def _failed(run_id: UUID, top: UUID | None) -> list[UUID]:
    failed = nodes().filter(run_id=run_id, state__in=NODE_FAILED)
    if top is None:
        return list(failed.values_list("id", flat=True))
    batches = in_batches(subtree(run_id, top))
    return [key for batch in batches for key in failed.filter(id__in=batch).values_list("id", flat=True)]
