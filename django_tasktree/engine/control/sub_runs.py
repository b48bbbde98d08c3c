"""Sub-runs: runs that a node has started and waits for. Such a node is WAITING; ``sub_run_id`` is its sub-run."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, F, OuterRef

from django_tasktree.conf import settings
from django_tasktree.engine.control.change import change_states_after, state_after_change
from django_tasktree.engine.control.reset import lock_node
from django_tasktree.engine.history import record
from django_tasktree.engine.lifecycle.stop import stop_run
from django_tasktree.engine.transitions import move, nodes, runs, write_alias
from django_tasktree.engine.traversal import in_batches, in_chunks
from django_tasktree.engine.types import NodeRef
from django_tasktree.exceptions import RunsTooDeep, StaleAttempt
from django_tasktree.models import NodeRun, TreeRun
from django_tasktree.models.history_entry import Action
from django_tasktree.models.querysets import NodeRunQuerySet, TreeRunQuerySet
from django_tasktree.states import RUN_FINAL, RUN_STOPPABLE, Hold, NodeState, RunState


@dataclass(frozen=True, slots=True)
class Origin:
    """What a sub-run takes over from the run of the node that starts it.

    Attributes:
        depth: the depth of the sub-run.
        launched_by_id: the user who has launched the run.
        task: the name of the node's task.
    """

    depth: int
    launched_by_id: Any
    task: str


@dataclass(frozen=True, slots=True)
class Abandoned:
    """An open sub-run that no node waits for any more.

    Attributes:
        run_id: the sub-run.
        node_id: the node that has started it.
    """

    run_id: UUID
    node_id: UUID


def origin_of(node: NodeRef) -> Origin:
    """Return what a sub-run of a started node takes over. Nothing is locked while the sub-run is inserted.

    Raises:
        StaleAttempt: if another attempt has taken over, or the node has finished already.
        RunsTooDeep: if the sub-run would be nested too deeply.
    """
    attempt = nodes().filter(id=node.id, task_id=node.task_id, state=NodeState.STARTED)
    found: tuple[int, Any, str] | None = attempt.values_list("run__depth", "run__launched_by_id", "task").first()
    if found is None:
        raise StaleAttempt.of(node.id, node.task_id)
    depth, user, task = found
    if depth >= settings.max_run_depth:
        raise RunsTooDeep.of(node.run_id, settings.max_run_depth)
    return Origin(depth + 1, user, task)


def begin_to_wait(node: NodeRef, run_id: UUID) -> RunState:
    """Move a started node to WAITING in the transaction in which the caller has inserted its sub-run.

    Args:
        node: the attempt.
        run_id: the ID of the sub-run.

    Returns:
        How the sub-run begins: STARTED; PAUSED, like the run or the subtree of the node; or REVOKED, because the run
        has ended, or the subtree was revoked, so that nothing may start.

    Raises:
        StaleAttempt: if another attempt has taken over, or the node has finished already.
    """
    # Like every action, lock the run before the node: one that pauses or ends the run sees the sub-run, or is seen.
    runs().filter(id=node.run_id).update(revision=F("revision"))
    mine = nodes().filter(id=node.id)
    # Without a lane: that of a node that is WAITING names an event.
    attempt = mine.filter(task_id=node.task_id)
    if not move(attempt, [NodeState.STARTED], NodeState.WAITING, lane="", sub_run_id=run_id):
        raise StaleAttempt.of(node.id, node.task_id)
    hold, state = mine.values_list("hold", "run__state").get()
    state = _state_to_come(node.run_id, state)
    if state in RUN_FINAL or hold == Hold.REVOKED:
        return RunState.REVOKED
    return RunState.PAUSED if state == RunState.PAUSED or hold == Hold.PAUSED else RunState.STARTED


def has_begun(node: NodeRef, run_id: UUID) -> bool:
    """Return whether an attempt has started a sub-run, and waits for it or has done so."""
    return bool(nodes().filter(id=node.id, sub_run_id=run_id).exists())


def ended_below(run_id: UUID) -> list[TreeRun]:
    """Return the sub-runs of a run that have ended, and for which a node waits, at most ``BATCH_SIZE``."""
    waiting = nodes().filter(run_id=run_id, state=NodeState.WAITING, sub_run_id=OuterRef("id"))
    ended = runs().filter(Exists(waiting), parent_run_id=run_id, state__in=RUN_FINAL)
    return list(ended.order_by("id")[: settings.batch_size])


def waiting_node(run: TreeRun) -> NodeRun | None:
    """Return the node that waits for a sub-run; None if none does any more."""
    if run.parent_node_id is None:
        return None
    node: NodeRun | None = _waiting(run.parent_node_id, run.id).first()
    return node


def _waiting(node_id: UUID, run_id: UUID | None) -> NodeRunQuerySet:
    return nodes().filter(id=node_id, sub_run_id=run_id, state=NodeState.WAITING)


def lock_waiting_node(node: NodeRun, sub_run: TreeRun | None = None) -> NodeRef | None:
    """Lock a run and its node that waits for a sub-run, in the transaction that then finishes the node from WAITING.

    Args:
        node: the node.
        sub_run: the sub-run, which is locked, too; None if it does not exist any more.

    Returns:
        The node as it is now; None if it does not wait any more, or the sub-run has changed since it was read.

    Raises:
        RunNotFound: if the run does not exist any more.
        NotPossible: if the run is CHANGING.
    """
    locked = lock_node(node.run_id, _waiting(node.id, node.sub_run_id))
    if locked is None or sub_run is None:
        return locked
    # A retry that comes now waits for this lock, and then sees that the node has ended.
    same = runs().filter(id=sub_run.id, state=sub_run.state, revision=sub_run.revision)
    return locked if same.update(revision=F("revision")) else None


def sub_runs_of(run_id: UUID) -> TreeRunQuerySet:
    """Return the open sub-runs that nodes of a run have started, without those that continue by themselves."""
    return runs().filter(parent_run_id=run_id, detached=False, state__in=RUN_STOPPABLE)


def open_sub_runs(run_ids: list[UUID], *, under_holds: bool) -> Iterator[list[UUID]]:
    """Yield the open sub-runs that nodes of some runs have started, then theirs, and so on, in batches of one level.

    A level is read when all batches of the level above have been taken. If the caller locks the runs of each batch, a
    sub-run that begins at this moment is found, or it sees what the caller has done with its run.

    Args:
        run_ids: the runs, which the caller has locked.
        under_holds: whether those of nodes are included whose subtree is paused.
    """
    level = run_ids
    while level:
        found: list[UUID] = []
        for batch in in_chunks(level, settings.batch_size):
            mine = runs().filter(parent_run_id__in=batch, detached=False, state__in=RUN_STOPPABLE)
            if not under_holds:
                mine = mine.exclude(Exists(nodes().filter(id=OuterRef("parent_node_id"), hold=Hold.PAUSED)))
            found += mine.values_list("id", flat=True)
        yield from in_chunks(found, settings.batch_size)
        level = found


def is_paused(run_id: UUID) -> bool:
    """Return whether a run, which the caller has locked, is PAUSED, or will be when a change of it is complete."""
    return _state_to_come(run_id, runs().values_list("state", flat=True).get(id=run_id)) == RunState.PAUSED


def _state_to_come(run_id: UUID, state: str) -> str:
    return state_after_change(run_id) if state == RunState.CHANGING else state


def move_sub_runs(ids: list[UUID], source: RunState, target: RunState) -> list[UUID]:
    """Pause or resume sub-runs: those that are CHANGING get the new state afterwards, instead of the other one.

    Args:
        ids: at most ``BATCH_SIZE`` IDs.
        source: STARTED to pause, PAUSED to resume.
        target: the other one of these.

    Returns:
        Those of them that were in the first state, or would have been.
    """
    # One that has ended keeps its revision: its node may be about to end.
    some = runs().filter(id__in=ids, state__in=RUN_STOPPABLE)
    # Lock them, so that none begins or completes a change in between.
    some.update(revision=F("revision") + 1)
    moved: list[UUID] = list(some.filter(state=source).values_list("id", flat=True))
    move(runs().filter(id__in=moved), [source], target)
    return moved + change_states_after(ids, source, target)


def waited_for_below(run_id: UUID, keys: Iterator[UUID]) -> list[UUID]:
    """Return the open sub-runs of some nodes of a run.

    Args:
        run_id: the run.
        keys: the IDs of the nodes.
    """
    if not sub_runs_of(run_id).exists():
        return []
    found: list[UUID] = []
    for batch in in_batches(keys):
        found += sub_runs_of(run_id).filter(parent_node_id__in=batch).values_list("id", flat=True)
    return found


def abandoned(run_id: UUID) -> list[Abandoned]:
    """Return the open sub-runs of a run that no node waits for any more.

    This takes one query if the run has no open sub-runs.
    """
    return without_waiting(sub_runs_of(run_id))


def without_waiting(some: TreeRunQuerySet) -> list[Abandoned]:
    """Return those of some open sub-runs that no node waits for any more.

    One of a node that has ended by itself is left out: the node ended because the sub-run had ended.
    """
    columns: list[tuple[UUID, Any]] = list(some.values_list("id", "parent_node_id"))
    found: list[Abandoned] = []
    for part in in_chunks(columns, settings.batch_size):
        mine = nodes().filter(id__in=[node_id for _, node_id in part]).exclude(state=NodeState.REVOKED)
        kept = set(mine.values_list("sub_run_id", flat=True))
        found += [Abandoned(key, node_id) for key, node_id in part if key not in kept]
    return found


def stop_abandoned(sub_run: Abandoned) -> bool:
    """Revoke a sub-run that no node waits for any more.

    Returns:
        False if it has ended in the meantime.
    """
    reason = f"node {sub_run.node_id}, which has started the run, does not wait for it any more"
    with transaction.atomic(using=write_alias()):
        revoked = stop_run(sub_run.run_id, RunState.REVOKED, reason)
        if revoked is None:
            return False
        record(sub_run.run_id, Action.REVOKE, nodes=revoked, note=reason)
        return True
