"""Add nodes to a run from outside, whether it is going or has ended."""

from collections.abc import Sequence
from uuid import UUID

from django.db.models import F, Max
from django.utils.translation import gettext_noop as _

from django_tasktree.engine.insert import insert_nodes
from django_tasktree.engine.moves import nodes
from django_tasktree.engine.reach import ADDED_IN_VAIN, refuse_dead_end
from django_tasktree.engine.reset import call_back, release, reopen, unsettle
from django_tasktree.engine.specs import NodeSpec, Place
from django_tasktree.exceptions import NotPossible
from django_tasktree.models import NodeRun, TreeRun
from django_tasktree.states import Hold, NodeState, OnFailure


def place_in(run: TreeRun, parent_id: UUID | None) -> Place:
    """Tell where new nodes go, in a run that the caller has locked.

    Args:
        run: the run.
        parent_id: the node that they are added to; None: they become root nodes.

    Raises:
        NotPossible: the node was skipped or revoked, so that nothing below it would ever run.
    """
    siblings = nodes().under(run.id, parent_id)
    first = (siblings.aggregate(last=Max("position"))["last"] or 0) + 1 if siblings.exists() else 0
    if parent_id is None:
        stops = run.id if run.on_failure == OnFailure.STOP else None
        return Place(run.id, None, first, stops, run.id if run.max_active is not None else None)
    parent = _open_to_children(parent_id)
    limiter = parent.id if parent.max_active is not None else parent.limiter
    return Place(run.id, parent.id, first, parent.stops, limiter)


def add(run: TreeRun, place: Place, specs: Sequence[NodeSpec]) -> None:
    """Insert nodes; those whose parent has ended already become ready.

    In the transaction in which the caller has locked the run; the caller lets it advance after commit.

    Args:
        run: the run, as it was locked.
        place: what :func:`place_in` gave.
        specs: the nodes, each parent before its children.
    """
    hold = Hold.NONE
    tops = [spec.id for spec in specs if spec.parent_id == place.parent_id]
    if place.parent_id is not None:
        # Written first: a body that ends at this moment then releases the new children too, or has done so before.
        nodes().filter(id=place.parent_id).update(child_count=F("child_count") + len(tops))
        # Looked at once more: it may have been skipped or revoked before it was locked.
        hold = Hold(_open_to_children(place.parent_id).hold)
    insert_nodes(run.id, specs, hold=hold)
    unsettle(run.id, tops)
    call_back(run.id, tops)
    release(run.id, tops)
    reopen(run)


def _open_to_children(parent_id: UUID) -> NodeRun:
    parent: NodeRun = nodes().get(id=parent_id)
    if parent.state == NodeState.SKIPPED or parent.hold == Hold.STOPPED:
        raise NotPossible(
            _("node %(node)s is %(state)s: what is added to it would never run"), node=parent_id, state=parent.state
        )
    refuse_dead_end(parent_id, ADDED_IN_VAIN, node=parent_id)
    return parent
