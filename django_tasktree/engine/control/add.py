"""Add nodes to a run from outside, whether the run is active or has ended."""

from collections.abc import Sequence
from uuid import UUID

from django.db.models import F, Max
from django.utils.translation import gettext_noop as _

from django_tasktree.engine.control.reachability import ADDED_IN_VAIN, refuse_dead_end
from django_tasktree.engine.control.reset import call_back, release, reopen, unsettle
from django_tasktree.engine.lifecycle.insert import insert_nodes
from django_tasktree.engine.scopes import AFTER_ITEMS, place_below, place_in_run
from django_tasktree.engine.transitions import nodes
from django_tasktree.engine.types import NodeSpec, Placement
from django_tasktree.exceptions import NotPossible, RunNotFound
from django_tasktree.models import NodeRun, TreeRun
from django_tasktree.states import Hold, NodeState


def place_in(run: TreeRun, parent_id: UUID | None) -> Placement:
    """Return the placement of new nodes in a run that the caller has locked.

    Args:
        run: the run.
        parent_id: the node to which the nodes are added; None: they become root nodes.

    Raises:
        RunNotFound: if the node was deleted.
        NotPossible: if nothing below the node would ever run, because it, or the ancestor that it waits for, was
            skipped or revoked.
    """
    # Lock the parent before its children are read: a task of the parent that ends now may have added some.
    parent = None if parent_id is None else _open_to_children(parent_id)
    siblings = nodes().under(run.id, parent_id)
    first = (siblings.aggregate(last=Max("position"))["last"] or 0) + 1 if siblings.exists() else 0
    if parent is None:
        return place_in_run(run.id, run.on_failure, run.max_active, first)
    if parent.template is not None:
        # Its items come first, even if they do not exist yet.
        first = max(first, AFTER_ITEMS)
    return place_below(parent, first)


def add(run: TreeRun, place: Placement, specs: Sequence[NodeSpec]) -> None:
    """Insert nodes. New nodes whose parent has finished already become runnable, or are skipped if they do not fit.

    Call it in the transaction in which the run was locked, and call ``advance`` after commit.

    Args:
        run: the locked run.
        place: the result of :func:`place_in`.
        specs: the nodes, each parent before its children.
    """
    hold = Hold.NONE
    tops = [spec.id for spec in specs if spec.parent_id == place.parent_id]
    if place.parent_id is not None:
        parent = nodes().filter(id=place.parent_id)
        parent.update(child_count=F("child_count") + len(tops))
        hold = Hold(parent.values_list("hold", flat=True).get())
    insert_nodes(run.id, specs, hold=hold)
    unsettle(run.id, tops, new=True)
    call_back(run.id, tops)
    release(run.id, tops)
    reopen(run)


def _open_to_children(parent_id: UUID) -> NodeRun:
    """Lock a node and return it: an attempt that finishes now has released its children, or releases the new ones too.

    Raises:
        RunNotFound: if the node was deleted.
        NotPossible: see :func:`place_in`.
    """
    parent: NodeRun | None = nodes().select_for_update().filter(id=parent_id).first()
    if parent is None:
        raise RunNotFound.of_node(parent_id)
    if parent.state == NodeState.SKIPPED or parent.hold == Hold.REVOKED:
        raise NotPossible(
            _("node %(node)s is %(state)s: nodes added to it would never run"), node=parent_id, state=parent.state
        )
    refuse_dead_end(parent_id, ADDED_IN_VAIN, node=parent_id)
    return parent
