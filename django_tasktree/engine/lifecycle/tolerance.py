"""tolerance: whether the failures below a node count, if it tolerates some; and what happens if there are too many.

All failed children count for the outcome of the node. If more remain failed than are tolerated when children are reset,
those are forgiven: only new failures stop the others again.
"""

from collections.abc import Collection, Iterator
from uuid import UUID

from django.db import transaction
from django.db.models import F, Q

from django_tasktree.conf import settings
from django_tasktree.engine.backends.children import has_failed_child
from django_tasktree.engine.history import record
from django_tasktree.engine.lifecycle.stop import lock_stopped, revoke, stop_on_failure
from django_tasktree.engine.rules import FAILURE_COUNTS
from django_tasktree.engine.transitions import nodes, runs, write_alias
from django_tasktree.engine.traversal import ancestors, in_batches, in_chunks
from django_tasktree.engine.types import NodeRef, Settled
from django_tasktree.models import NodeRun
from django_tasktree.models.history_entry import Action
from django_tasktree.models.querysets import NodeRunQuerySet
from django_tasktree.states import RUN_GOING, RUN_STOPPABLE, Hold, OnFailure, RunState

#: A child that has failed, whatever becomes of what is below it.
_HAS_FAILED = Q(subtree_failed=True) | FAILURE_COUNTS.q()


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


def note_failure(node_id: UUID, tolerated: int, *, fresh: bool = False) -> Settled | None:
    """Note that a child of a node has failed. If more have failed than are tolerated, revoke what has not started.

    The counter in the row saves counting all children at each failure. It may be too high, after children have run
    again, so that they are counted before anything is revoked; or too low, after a crash, and then the sweep counts.

    Args:
        node_id: the node.
        tolerated: how many children may fail.
        fresh: whether to count the children, without noting a failure.

    Returns:
        None if no more have failed than are tolerated, the rest was revoked before, or the run is CHANGING.
    """
    mine = nodes().filter(id=node_id)
    if not fresh:
        mine.update(failures=F("failures") + 1)
        if not mine.filter(failures__gt=F("forgiven") + tolerated).exists():
            return None
    with transaction.atomic(using=write_alias()):
        # Lock the row: failures that are not counted here are added afterwards.
        mine.update(failures=F("failures"))
        node = mine.first()
        if node is None:
            return None
        most = tolerated + node.forgiven
        number = _failed_up_to(node, most + 1)
        if number <= most:
            mine.update(failures=number)
            return None
    return _stop_rest(node)


def _failed_up_to(node: NodeRun, most: int) -> int:
    """Count the failed children of a node, apart from gather nodes, up to a number."""
    failed = nodes().under(node.run_id, node.id).filter(subtree_failed=True, is_gather=False).order_by()
    return int(failed[:most].count())


def tolerant_among(ids: Collection[UUID]) -> list[UUID]:
    """Return those of some nodes that tolerate failures."""
    return list(nodes().filter(id__in=ids, tolerated__isnull=False).values_list("id", flat=True))


def forgive(run_id: UUID, tolerant: Collection[UUID], again: Collection[UUID] | None = None) -> None:
    """Forgive the failures of children of some nodes, if more remain than are tolerated.

    Call it with the run locked: before nodes are added below the children, or after the ancestors of nodes that are
    reset were marked as unsettled.

    Args:
        run_id: the run.
        tolerant: the nodes, which tolerate failures.
        again: the nodes that are reset; None: nodes are added, which undoes no failure.
    """
    for node_id in tolerant:
        mine = nodes().filter(id=node_id)
        children = nodes().under(run_id, node_id).filter(_HAS_FAILED, is_gather=False)
        number = children.exclude(id__in=again or ()).count()
        if again is not None:
            mine.update(failures=number, forgiven=0)
        mine.filter(tolerated__lt=number, forgiven__lt=number).update(forgiven=number)


def stop_above(node_id: UUID) -> Settled | None:
    """Stop what the failure of a node stops if too many of its children have failed, and nothing has been stopped.

    That is so if another process settles the last child before this failure is noted, or after a crash.

    Args:
        node_id: the node, whose children have settled, apart from gather nodes.

    Returns:
        None if the node may settle now. It waits for the end of a change of the run, which may reset its children.
    """
    node = nodes().filter(id=node_id).first()
    if node is None or not _stops_more(node):
        return None
    most = node.tolerated or 0
    return (_stop_scope(node) or Settled()) if _failed_up_to(node, most + 1) > most else None


def explain_failure(node_id: UUID, revision: int) -> None:
    """Let the run say that it fails because too many children of a node have failed, unless that is tolerated above it.

    Args:
        node_id: a node that tolerates failures and is about to settle.
        revision: that of the node, when it was read.
    """
    node = nodes().filter(id=node_id, revision=revision).first()
    if node is None or _failed_up_to(node, (node.tolerated or 0) + 1) <= (node.tolerated or 0):
        return
    above = ancestors(node.run_id, [node.parent_id]) if node.parent_id else set()
    if any(map(tolerant_among, in_batches(iter(above)))):
        return
    with transaction.atomic(using=write_alias()):
        if _lock_unchanged(node):
            runs().filter(id=node.run_id, error_message="").update(error_message=_reason(node))


def missed_failures(tolerant: NodeRunQuerySet) -> Iterator[tuple[UUID, UUID]]:
    """Find the nodes of which too many children have failed although the rest is not revoked: a process was lost.

    Args:
        tolerant: finished but unsettled nodes that tolerate failures.

    Yields:
        The ID of the run and the ID of the node.
    """
    for node in list(tolerant.filter(run__state__in=RUN_GOING).defer("template")):
        rest = nodes().under(node.run_id, node.id).filter(settled=False, is_gather=False).exclude(hold=Hold.REVOKED)
        most = (node.tolerated or 0) + node.forgiven
        if _failed_up_to(node, most + 1) > most and (rest.exists() or _stops_more(node)):
            yield node.run_id, node.id


def _stop_rest(node: NodeRun) -> Settled | None:
    held = revoked = 0
    after = -1
    while children := _unsettled_children(node, after):
        # Together: a revoked node is settled, so that what is above it may settle at once, and the run may end.
        with transaction.atomic(using=write_alias()):
            if not _lock_unchanged(node):
                break
            for some in _levels_below(node.run_id, [key for key, _ in children]):
                # Tasks that are running here read the hold when they end, and add their nodes as revoked.
                held += some.filter(Q(settled=False) & ~Q(hold=Hold.REVOKED)).update(hold=Hold.REVOKED)
                revoked += revoke(some)
        after = children[-1][1]
    if revoked:
        record(node.run_id, Action.STOP, node_id=node.id, nodes=revoked, note=_reason(node))
    # What was held and not revoked is running.
    stopped = _stop_scope(node) if held or _stops_more(node) else None
    return Settled(stopped=True) if stopped is None and held else stopped


def _reason(node: NodeRun) -> str:
    return f"more children of node {node.id} ({node.title}) have failed than it tolerates ({node.tolerated})"


def _lock_unchanged(node: NodeRun) -> bool:
    """Lock the run, and return whether no children were reset since the node was read; in the caller's transaction.

    What follows a reset, or a change of the run, counts the failures again.
    """
    going = runs().filter(id=node.run_id).exclude(state=RunState.CHANGING)
    return bool(going.update(revision=F("revision")) and nodes().filter(id=node.id, revision=node.revision).exists())


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


def _stop_scope(node: NodeRun) -> Settled | None:
    """Stop what the failure of the node itself stops, and terminate what runs below it if that is wanted.

    Returns:
        None if nothing was stopped because children of the node were reset, or the run is CHANGING.
    """
    terminates = node.id if node.on_failure == OnFailure.TERMINATE else None
    if node.stop_scope_id is None or node.allow_failure:
        return Settled(stopped=True, terminates_below=terminates)
    ref = NodeRef.of(node)
    with transaction.atomic(using=write_alias()):
        if not _lock_unchanged(node):
            return None
        lock_stopped(ref)
        released = stop_on_failure(ref, _reason(node))
    above = ref.stop_scope_id if released.terminates else terminates
    return Settled(stopped=True, terminates_below=above, ended=released.ended)
