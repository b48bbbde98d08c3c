"""tolerance: whether the failures below a node count, if it tolerates some; and what happens if there are too many."""

from collections.abc import Iterator
from uuid import UUID

from django.db import transaction
from django.db.models import F, Q

from django_tasktree.conf import settings
from django_tasktree.engine.backends.children import has_failed_child
from django_tasktree.engine.history import record
from django_tasktree.engine.lifecycle.stop import lock_stopped, revoke, stop_on_failure
from django_tasktree.engine.transitions import nodes, runs, write_alias
from django_tasktree.engine.traversal import in_chunks
from django_tasktree.engine.types import NodeRef, Settled
from django_tasktree.models import NodeRun
from django_tasktree.models.history_entry import Action
from django_tasktree.models.querysets import NodeRunQuerySet
from django_tasktree.states import RUN_STOPPABLE, Hold, OnFailure


def has_failed_below(run_id: UUID, parent_id: UUID | None, tolerated: int | None = None) -> bool:
    """Return whether failures of the settled children of a node, or of root nodes, count for it.

    Args:
        run_id: the run.
        parent_id: the node; None for root nodes.
        tolerated: how many children, apart from gather nodes, may fail; None: none.
    """
    if not tolerated:
        return has_failed_child(run_id, parent_id)
    failed = nodes().under(run_id, parent_id).filter(subtree_failed=True)
    if failed.filter(is_gather=True).exists():
        return True
    return bool(failed.filter(is_gather=False).order_by()[: tolerated + 1].count() > tolerated)


def note_failure(run_id: UUID, node_id: UUID, tolerated: int, *, fresh: bool = False) -> Settled | None:
    """Note that a child of a node has failed. If more have failed than are tolerated, revoke what has not started.

    The counter in the row saves counting all children at each failure. It may be too high, after children have run
    again, so that they are counted before anything is revoked; or too low, after a crash, and then the sweep counts.

    Args:
        run_id: the run.
        node_id: the node.
        tolerated: how many children may fail.
        fresh: whether to count the children, without noting a failure.

    Returns:
        None if no more have failed than are tolerated, or the rest was revoked before.
    """
    mine = nodes().filter(id=node_id)
    if not fresh:
        mine.update(failures=F("failures") + 1)
        if not mine.filter(failures__gt=tolerated).exists():
            return None
    failed = nodes().under(run_id, node_id).filter(subtree_failed=True, is_gather=False).order_by()
    number = failed[: tolerated + 1].count()
    if number <= tolerated:
        mine.update(failures=number)
        return None
    node = mine.first()
    return None if node is None else _stop_rest(node)


def _stop_rest(node: NodeRun) -> Settled | None:
    held = revoked = 0
    after = -1
    while children := _unsettled_children(node, after):
        # Together: a revoked node is settled, so that what is above it may settle at once, and the run may end.
        with transaction.atomic(using=write_alias()):
            for some in _levels_below(node.run_id, [key for key, _ in children]):
                # Tasks that are running here read the hold when they end, and add their nodes as revoked.
                held += some.filter(Q(settled=False) & ~Q(hold=Hold.REVOKED)).update(hold=Hold.REVOKED)
                revoked += revoke(some)
        after = children[-1][1]
    if revoked:
        reason = f"more than {node.tolerated} children of node {node.id} failed, which is what it tolerates"
        record(node.run_id, Action.STOP, node_id=node.id, nodes=revoked, note=reason)
    # What was held and not revoked is running.
    return _stop_scope(node) if held or _stops_more(node) else None


def _stops_more(node: NodeRun) -> bool:
    """Return whether the failure of the node stops a run or subtree that has not been stopped before."""
    scope_id = node.stop_scope_id
    if scope_id is None or node.allow_failure:
        return False
    if scope_id == node.run_id:
        return bool(runs().filter(id=scope_id, state__in=RUN_STOPPABLE).exists())
    return bool(nodes().filter(id=scope_id).exclude(hold=Hold.REVOKED).exists())


def _unsettled_children(node: NodeRun, after: int) -> list[tuple[UUID, int]]:
    children = nodes().under(node.run_id, node.id).filter(settled=False, is_gather=False, position__gt=after)
    return list(children.order_by("position").values_list("id", "position")[: settings.batch_size])


def _levels_below(run_id: UUID, ids: list[UUID]) -> Iterator[NodeRunQuerySet]:
    """Yield some nodes, and what is unsettled below them, level by level, in batches of ``BATCH_SIZE``."""
    while ids:
        below: list[UUID] = []
        for some in in_chunks(ids, settings.batch_size):
            yield nodes().filter(id__in=some)
            children = nodes().filter(run_id=run_id, parent__in=some, settled=False)
            below += children.values_list("id", flat=True)
        ids = below


def _stop_scope(node: NodeRun) -> Settled:
    """Stop what the failure of the node itself stops, and terminate what runs below it if that is wanted."""
    terminates = node.id if node.on_failure == OnFailure.TERMINATE else None
    if node.stop_scope_id is None or node.allow_failure:
        return Settled(stopped=True, terminates_below=terminates)
    ref = NodeRef.of(node)
    with transaction.atomic(using=write_alias()):
        lock_stopped(ref)
        released = stop_on_failure(ref)
    above = ref.stop_scope_id if released.terminates else terminates
    return Settled(stopped=True, terminates_below=above, ended=released.ended)
