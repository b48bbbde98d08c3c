"""reset: make finished nodes PENDING again, and mark their ancestors as unsettled."""

from collections.abc import Collection
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db.models import Case, Exists, F, OuterRef, Q, Value, When
from django.utils.translation import gettext_noop as _

from django_tasktree.encoding import times
from django_tasktree.engine.attempt_log import log_final
from django_tasktree.engine.control.reachability import MAY_RUN, REACHED
from django_tasktree.engine.history import open_entries
from django_tasktree.engine.lifecycle.finish import error_values
from django_tasktree.engine.lifecycle.release import make_runnable, skip
from django_tasktree.engine.lifecycle.tolerance import forgive, tolerant_among
from django_tasktree.engine.random_ids import RandomId
from django_tasktree.engine.transitions import move, nodes, runs
from django_tasktree.engine.traversal import ancestors, in_batches
from django_tasktree.engine.types import NodeRef
from django_tasktree.exceptions import NotPossible, RunNotFound
from django_tasktree.models import TreeRun
from django_tasktree.models.fields import ExactCharField
from django_tasktree.models.querysets import NodeRunQuerySet
from django_tasktree.states import NODE_FINAL, RUN_FINAL, STANDING_BY, Hold, NodeState, RunState

#: States of nodes that :func:`reset` makes pending again.
RESETTABLE = NODE_FINAL | STANDING_BY
#: Nodes that wait again if they have to wait for another node. attempts=0 leaves out nodes that their own task function
#: skipped: those have had an attempt.
WAITS_AGAIN = Q(state=NodeState.SKIPPED, attempts=0) | Q(state__in=STANDING_BY)
_UNDONE = WAITS_AGAIN | Q(runnable=True)


_IS_CHANGING = _(
    "run %(run)s is being changed by another action on many of its nodes: try again when that has finished, or revoke "
    "the run"
)


def lock_run(run_id: UUID, *, drafts: bool = False, changing: bool = False) -> TreeRun:
    """Lock a run for a change from outside. The new revision shows a concurrent settle that something has changed.

    Args:
        run_id: the run.
        drafts: whether the run may be a draft.
        changing: whether the run may be CHANGING.

    Returns:
        The run.

    Raises:
        RunNotFound: if the run does not exist.
        NotPossible: if the run is a draft, or is CHANGING because of another action.
    """
    runs().filter(id=run_id).update(revision=F("revision") + 1)
    return check_run(run_id, drafts=drafts, changing=changing)


def lock_node(run_id: UUID, node: NodeRunQuerySet) -> NodeRef | None:
    """Lock a run, and then one of its nodes.

    Args:
        run_id: the run.
        node: finds the node in the state in which it is to be locked.

    Returns:
        The node; None if it is not found.

    Raises:
        RunNotFound, NotPossible: see :func:`lock_run`.
    """
    lock_run(run_id)
    row = node.select_for_update().first()
    return None if row is None else NodeRef.of(row)


def check_run(run_id: UUID, *, drafts: bool = False, changing: bool = False) -> TreeRun:
    """Return a run without locking it, and check that it can be changed from outside.

    Args:
        run_id: the run.
        drafts: whether the run may be a draft.
        changing: whether the run may be CHANGING.

    Raises:
        RunNotFound: if the run does not exist.
        NotPossible: if the run is a draft, or is CHANGING because of another action.
    """
    run: TreeRun | None = runs().filter(id=run_id).first()
    if run is None:
        raise RunNotFound.of_run(run_id)
    if run.state == RunState.DRAFT and not drafts:
        raise NotPossible(_("run %(run)s is a draft: launch it first"), run=run_id)
    if run.state == RunState.CHANGING and not changing:
        raise NotPossible(_IS_CHANGING, run=run_id)
    return run


def running_refusal(node_id: UUID) -> NotPossible:
    """Return the error for a node that is running and would otherwise run twice at the same time."""
    text = _("node %(node)s is running, and would run twice: wait until it has ended, or revoke it with terminate=True")
    return NotPossible(text, node=node_id)


def reset(ids: Collection[UUID]) -> int:
    """Make nodes that are finished, or stand by, PENDING with a new task ID. The log keeps their attempts.

    Nodes that are running are left as they are. Call it in a transaction.

    Returns:
        How many nodes were reset, apart from those that were PENDING already.
    """
    return sum(_reset(batch) for batch in in_batches(iter(ids)))


def _reset(ids: list[UUID]) -> int:
    # Lock the nodes, because a worker may be claiming one of them. A node that has started since is not changed.
    waiting = nodes().filter(id__in=ids).exclude(state=NodeState.STARTED)
    ids = list(waiting.select_for_update().order_by("id").values_list("id", flat=True))
    if not ids:
        return 0
    log_final(ids)
    some = nodes().filter(id__in=ids)
    fresh: dict[str, Any] = {
        "task_id": RandomId(),
        "hold": Case(When(hold=Hold.REVOKED, then=Value(Hold.NONE)), default=F("hold"), output_field=ExactCharField()),
        "runnable": False,
    }
    some.filter(state=NodeState.PENDING).update(**fresh)
    return move(
        some,
        RESETTABLE,
        NodeState.PENDING,
        settled=False,
        subtree_failed=False,
        failures=0,
        forgiven=0,
        retries=0,
        revision=F("revision") + 1,
        worker="",
        worker_id=None,
        sub_run_id=None,
        resend_count=0,
        queued_at=None,
        started_at=None,
        finished_at=None,
        eta=None,
        result=None,
        **fresh,
        **error_values(),
    )


# The consequences of failed nodes are undone: nodes that were skipped because of them, or were queued but have not
# started, wait again. Nodes that have started stay as they are.


def undone_gathers(run_id: UUID, heads: Collection[UUID]) -> set[UUID]:
    """Return the gather nodes that have to wait again for failed nodes: under the run and all ancestors of these.

    Args:
        run_id: the run.
        heads: failed nodes that had been reached.
    """
    affected = nodes().filter(run_id=run_id, is_gather=True).filter(_UNDONE)
    found = set(affected.filter(parent__isnull=True).values_list("id", flat=True))
    for batch in in_batches(iter(parents_of(run_id, heads))):
        found |= set(affected.filter(parent__in=batch).values_list("id", flat=True))
    return found


def undone_children(run_id: UUID, ids: Collection[UUID]) -> list[UUID]:
    """Return the children that have to wait again for nodes that failed or run again.

    Args:
        run_id: the run.
        ids: the nodes.
    """
    affected = nodes().filter(run_id=run_id).filter(_UNDONE)
    batches = in_batches(iter(ids))
    return [key for batch in batches for key in affected.filter(parent__in=batch).values_list("id", flat=True)]


def undone_anywhere(run_id: UUID) -> list[UUID]:
    """Return the nodes of a run that have to wait again: for their parent, or as gather nodes for their siblings."""
    affected = nodes().filter(run_id=run_id).filter(_UNDONE)
    beside = nodes().filter(run_id=run_id, settled=False, is_gather=False)
    under_node = Q(parent__isnull=False) & Q(Exists(beside.filter(parent_id=OuterRef("parent_id"))))
    under_run = Q(parent__isnull=True) & Q(Exists(beside.filter(parent__isnull=True)))
    waits = Q(parent__state=NodeState.PENDING) | (Q(is_gather=True) & (under_node | under_run))
    return list(affected.filter(waits).values_list("id", flat=True))


def gathering(run_id: UUID, ids: Collection[UUID]) -> list[UUID]:
    """Return the gather nodes that wait for some siblings: those under the run and under all ancestors of the siblings.

    Gather nodes that are ancestors of the siblings are left out, with the other gather nodes beside those.

    Args:
        run_id: the run.
        ids: the siblings.
    """
    above = parents_of(run_id, ids)
    gathers = nodes().filter(run_id=run_id, is_gather=True)
    # Gather nodes under one parent start together: none of them waits for another.
    path = gathers.filter(id__in=above)
    if not nodes().filter(id__in=ids, is_gather=False).exists():
        path = gathers.filter(id__in=above | set(ids))
    through_gather = set(path.values_list("parent_id", flat=True))
    found: list[UUID] = []
    for batch in in_batches(iter(above - through_gather)):
        found += gathers.filter(parent__in=batch).values_list("id", flat=True)
    if None not in through_gather:
        found += gathers.filter(parent__isnull=True).values_list("id", flat=True)
    return found


def call_back(run_id: UUID, ids: Collection[UUID]) -> None:
    """Make gather nodes that are queued or runnable wait for new nodes as well.

    Args:
        run_id: the run.
        ids: the new nodes, which are siblings.
    """
    for batch in in_batches(iter(gathering(run_id, ids))):
        # One with a quorum does not wait for all.
        waiting = nodes().filter(id__in=batch, quorum="").filter(Q(state=NodeState.QUEUED) | Q(runnable=True))
        reset(waiting.values_list("id", flat=True))


def parents_of(run_id: UUID, ids: Collection[UUID]) -> set[UUID]:
    """Return the IDs of all ancestors of some nodes."""
    parents: set[UUID] = set()
    for batch in in_batches(iter(ids)):
        parents |= set(nodes().filter(id__in=batch, parent__isnull=False).values_list("parent_id", flat=True))
    return ancestors(run_id, parents)


def unsettle(run_id: UUID, ids: Collection[UUID], *, new: bool = False) -> None:
    """Mark all ancestors of some nodes as unsettled.

    Args:
        run_id: the run.
        ids: the nodes.
        new: whether they are new; otherwise the caller resets them afterwards.
    """
    batches = list(in_batches(iter(parents_of(run_id, ids))))
    tolerant = [key for batch in batches for key in tolerant_among(batch)]
    if new:
        forgive(run_id, tolerant)
    for batch in batches:
        nodes().filter(id__in=batch).update(settled=False, subtree_failed=False, revision=F("revision") + 1)
    if not new:
        forgive(run_id, tolerant, again=ids)


def release(run_id: UUID, ids: Collection[UUID]) -> None:
    """Make the nodes that may run now runnable, and skip the nodes that do not fit their parent's outcome."""
    for batch in in_batches(iter(ids)):
        tasks = nodes().filter(id__in=batch, run_id=run_id, state=NodeState.PENDING, is_gather=False)
        may_run = list(tasks.filter(MAY_RUN).values_list("id", flat=True))
        make_runnable(nodes().filter(id__in=may_run))
        # Do not negate the condition: in SQL, NOT of a condition that is NULL is NULL.
        reached = set(tasks.filter(REACHED).values_list("id", flat=True))
        skip(nodes().filter(id__in=reached.difference(may_run)))


def released_by_state(run_id: UUID) -> list[UUID]:
    """Return the nodes of a run that still wait although their parent has finished. Pass them to :func:`release`."""
    waiting = nodes().filter(run_id=run_id, state=NodeState.PENDING, runnable=False, is_gather=False)
    return list(waiting.filter(REACHED).values_list("id", flat=True))


def reopen(run: TreeRun) -> None:
    """Move a run that has ended back to STARTED. A deadline that has passed is removed.

    A run that had ended and is CHANGING becomes STARTED when the change is complete. If the run says which failures
    make it fail, this is removed, because they may be undone.
    """
    ended_before = open_entries(run_id=run.id, state_before__in=RUN_FINAL)
    if run.state == RunState.CHANGING and ended_before.update(state_before=RunState.STARTED):
        runs().filter(id=run.id).update(**_going_again(run))
    elif run.state in RUN_FINAL:
        move(runs().filter(id=run.id), [RunState(run.state)], RunState.STARTED, **_going_again(run))
    elif run.error_message:
        runs().filter(id=run.id).update(error_message="")


def _going_again(run: TreeRun) -> dict[str, Any]:
    to_come = run.deadline is not None and times.elapsed(run.deadline) < timedelta()
    deadline = run.deadline if to_come else None
    since = timedelta() if run.finished_at is None else times.elapsed(run.finished_at)
    idle = run.idle + max(since, timedelta())
    return {
        "finished_at": None,
        "error_message": "",
        "deadline": deadline,
        "idle": idle,
        "detached": is_detached(run),
    }


def is_detached(run: TreeRun) -> bool:
    """Return whether a run that is about to change its state is a sub-run that goes on by itself from now on.

    That is one whose node has ended, too, when an action reopens the sub-run.
    """
    if run.detached or run.parent_node_id is None or run.state not in RUN_FINAL:
        return run.detached
    waiting = nodes().filter(id=run.parent_node_id, sub_run_id=run.id, state=NodeState.WAITING)
    return not waiting.exists()
