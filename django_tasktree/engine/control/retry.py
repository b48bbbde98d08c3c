"""Run again the nodes that failed or were revoked in a run or a subtree, and those not reached because of them."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from functools import partial
from uuid import UUID

from django.utils.translation import gettext_noop as _

from django_tasktree.engine.control.reachability import CAN_NOT_RUN, MAY_RUN, may_run, reached, refuse_dead_end
from django_tasktree.engine.control.reset import (
    lock_run,
    release,
    released_by_state,
    reopen,
    reset,
    undone_anywhere,
    undone_children,
    undone_gathers,
    unsettle,
)
from django_tasktree.engine.steps import AT_ONCE, Steps
from django_tasktree.engine.transitions import nodes
from django_tasktree.engine.traversal import in_batches, subtree
from django_tasktree.engine.types import Effect
from django_tasktree.exceptions import NotPossible
from django_tasktree.models.querysets import NodeRunQuerySet
from django_tasktree.states import NODE_FAILED, Hold, NodeState


@dataclass(frozen=True, slots=True)
class Failed:
    """The nodes at which a retry starts.

    Attributes:
        ids: the nodes that failed or were revoked.
        stopped: other nodes whose hold is REVOKED.
        children: how many children the nodes in ``ids`` have.
    """

    ids: list[UUID]
    stopped: list[UUID]
    children: int

    @property
    def number(self) -> int:
        """The maximum number of nodes that a retry updates, in addition to ancestors."""
        return len(self.ids) + len(self.stopped) + self.children


def find_failed(run_id: UUID, top: UUID | None) -> Failed:
    """Return the nodes at which a retry starts, without locking them.

    Args:
        run_id: the run.
        top: only this node and all nodes below it; None: the whole run.
    """
    found: dict[UUID, int] = {}
    stopped: list[UUID] = []
    for some in _in_scope(run_id, top):
        found |= dict(some.filter(state__in=NODE_FAILED).values_list("id", "child_count"))
        others = some.filter(hold=Hold.REVOKED).exclude(state__in=NODE_FAILED)
        stopped += others.values_list("id", flat=True)
    return Failed(list(found), stopped, sum(found.values()))


def still_failed(failed: Failed) -> Failed:
    """Leave out of ``ids`` the nodes that are no longer in a failed state. The caller has locked the run."""
    kept: dict[UUID, int] = {}
    for batch in in_batches(iter(failed.ids)):
        kept |= dict(nodes().filter(id__in=batch, state__in=NODE_FAILED).values_list("id", "child_count"))
    return replace(failed, ids=list(kept), children=sum(kept.values()))


def _in_scope(run_id: UUID, top: UUID | None) -> Iterator[NodeRunQuerySet]:
    if top is None:
        yield nodes().filter(run_id=run_id)
        return
    for batch in in_batches(subtree(run_id, top)):
        yield nodes().filter(id__in=batch)


def retry_failed(steps: Steps, run_id: UUID, top: UUID | None, failed: Failed) -> Effect:
    """Reset nodes that failed or were revoked. Nodes that succeeded stay as they are, including failure handlers.

    The caller has locked the run or set it to CHANGING; afterwards it reopens the run.

    Args:
        steps: how the nodes are divided into transactions.
        run_id: the run.
        top: only this node and all nodes below it; None: the whole run.
        failed: the result of :func:`find_failed`, updated by :func:`still_failed`.

    Raises:
        NotPossible: if no node has failed there, or the failed node can't be reached.
    """
    steps.check(lambda: refuse_retry(run_id, top, failed), undo=lambda: None)
    # The other failed nodes are below reached ones, so whatever waits for them waits for the reached ones too.
    again, waiting = _run_again(steps, run_id, failed, reached(failed.ids))
    stays = nodes().filter(run_id=run_id, state=NodeState.SUCCESS).count()
    return Effect(again=again + waiting, stays=stays)


def _run_again(steps: Steps, run_id: UUID, failed: Failed, heads: Collection[UUID]) -> tuple[int, int]:
    """Reset failed nodes, and the nodes that have to wait for them again.

    Args:
        steps: how the nodes are divided into transactions.
        run_id: the run.
        failed: the failed nodes.
        heads: those of them that had been reached.

    Returns:
        How many failed nodes were reset, and how many other nodes wait for them again.
    """
    again = steps.each(failed.ids, partial(_reset_failed, steps, run_id, frozenset(heads)))
    waiting = steps.each(undone_gathers(run_id, heads).union(_undone_below(steps, run_id, failed)), reset)
    steps.each(failed.stopped, _take_back_stops)
    steps.each(released_by_state(run_id) if steps.are_separate else failed.ids, partial(_release, run_id))
    return again, waiting


def _undone_below(steps: Steps, run_id: UUID, failed: Failed) -> list[UUID]:
    if steps.are_separate:
        # A lost process may have reset other nodes before: find what depends on them by states, not from the list.
        return undone_anywhere(run_id)
    return undone_children(run_id, failed.ids) if failed.children else []


def _reset_failed(steps: Steps, run_id: UUID, heads: frozenset[UUID], ids: list[UUID]) -> int:
    """Reset failed nodes and unsettle the ancestors of the heads. Earlier steps may have reset some of the nodes."""
    if steps.are_separate:
        ids = list(nodes().filter(id__in=ids, state__in=NODE_FAILED).values_list("id", flat=True))
    unsettle(run_id, heads.intersection(ids))
    return reset(ids)


def _release(run_id: UUID, ids: list[UUID]) -> int:
    release(run_id, ids)
    return 0


def _take_back_stops(ids: list[UUID]) -> int:
    nodes().filter(id__in=ids, hold=Hold.REVOKED).update(hold=Hold.NONE)
    return 0


def refuse_retry(run_id: UUID, top: UUID | None, failed: Failed) -> None:
    """Raise an error if a retry is not possible.

    Raises:
        NotPossible: if no node has failed, or the top can't be reached.
    """
    if not failed.ids:
        raise nothing_failed(run_id, top)
    if top is not None:
        refuse_unreachable(top)


def retry_leaves(run_id: UUID, ids: Collection[UUID]) -> tuple[list[UUID], int]:
    """Reset the nodes of a list that failed, have no children and may run, in few statements.

    Call it in a transaction, and call ``advance`` after commit. Other nodes of the list are left as they are.

    Args:
        run_id: the run.
        ids: the IDs of nodes of the run, at most ``BATCH_SIZE``.

    Returns:
        The nodes that were reset, and how many other nodes wait for them again.

    Raises:
        RunNotFound: if the run does not exist.
        NotPossible: if the run is a draft, or is CHANGING.
    """
    run = lock_run(run_id)
    leaves = nodes().filter(MAY_RUN, run_id=run_id, id__in=ids, state__in=NODE_FAILED, child_count=0)
    failed = list(leaves.values_list("id", flat=True))
    if not failed:
        return [], 0
    _, waiting = _run_again(AT_ONCE, run_id, Failed(failed, stopped=[], children=0), heads=failed)
    reopen(run)
    return failed, waiting


def nothing_failed(run_id: UUID, top: UUID | None) -> NotPossible:
    """Return the error for a run, or for a node with all nodes below it, in which no node has failed."""
    if top is None:
        text = _("nothing in run %(run)s has failed or was revoked, so there is nothing to retry")
        return NotPossible(text, run=run_id)
    text = _("nothing in node %(node)s or below it has failed or was revoked, so there is nothing to retry")
    return NotPossible(text, node=top)


def refuse_unreachable(top: UUID) -> None:
    """Raise an error if a retry of a node would not make it run.

    Raises:
        NotPossible: if the node was skipped, its parent failed as well, or an ancestor was skipped or revoked.
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
