"""reset: nodes that have ended go back to where they came from, and those above them are unsettled."""

from collections.abc import Collection
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db.models import Case, F, Q, Value, When
from django.utils.translation import gettext_noop as _

from django_tasktree import times
from django_tasktree.engine import sql
from django_tasktree.engine.finish import error_values
from django_tasktree.engine.moves import move, nodes, write_alias
from django_tasktree.engine.random_ids import RandomId, random_id_sql
from django_tasktree.engine.reach import MAY_RUN, REACHED
from django_tasktree.engine.release import make_ready, skip
from django_tasktree.engine.subtree import ancestors, in_batches
from django_tasktree.exceptions import NotPossible, RunNotFound
from django_tasktree.models import TreeRun
from django_tasktree.models.exact_char_field import ExactCharField
from django_tasktree.states import NODE_FINAL, NOT_STARTED, RUN_FINAL, Hold, NodeState, RunState

# Whatever was skipped by its own body has an attempt.
_UNDONE = Q(state=NodeState.SKIPPED, attempts=0) | Q(state__in=[NodeState.QUEUED, NodeState.RETRY]) | Q(ready=True)


def lock_run(run_id: UUID) -> TreeRun:
    """Let one at a time change a run from outside; settle sees by the revision that something has changed.

    Raises:
        RunNotFound: there is none.
        NotPossible: it has not been launched.
    """
    TreeRun.objects.using(write_alias()).filter(id=run_id).update(revision=F("revision") + 1)
    return check_run(run_id)


def check_run(run_id: UUID, *, drafts: bool = False) -> TreeRun:
    """Read a run that is to be changed from outside.

    Args:
        run_id: the run.
        drafts: whether it may be a draft.

    Raises:
        RunNotFound: there is none.
        NotPossible: it has not been launched.
    """
    run: TreeRun | None = TreeRun.objects.using(write_alias()).filter(id=run_id).first()
    if run is None:
        raise RunNotFound(f"no run {run_id}: was its launch rolled back, or has it been purged?")
    if run.state == RunState.DRAFT and not drafts:
        raise NotPossible(_("run %(run)s is a draft: launch it first"), run=run_id)
    return run


def running_refusal(node_id: UUID) -> NotPossible:
    """Return the error for a node that runs, and must not run twice."""
    text = _("node %(node)s is running, and would run twice: wait until it has ended, or revoke it with terminate=True")
    return NotPossible(text, node=node_id)


def reset(ids: Collection[UUID]) -> int:
    """Make nodes that have ended, or wait for a worker, pending under a new task id; their attempts stay on record.

    In the caller's transaction.

    Returns:
        How many nodes that was.
    """
    return sum(_reset(batch) for batch in in_batches(iter(ids)))


def _reset(ids: list[UUID]) -> int:
    # Locked, for a worker may be claiming one of them; one that has started meanwhile is not touched.
    waiting = nodes().filter(id__in=ids).exclude(state=NodeState.STARTED)
    ids = list(waiting.select_for_update().order_by("id").values_list("id", flat=True))
    if not ids:
        return 0
    _log(ids)
    some = nodes().filter(id__in=ids)
    fresh: dict[str, Any] = {
        "task_id": RandomId(),
        "hold": Case(When(hold=Hold.STOPPED, then=Value(Hold.NONE)), default=F("hold"), output_field=ExactCharField()),
        "ready": False,
    }
    some.filter(state=NodeState.PENDING).update(**fresh)
    return move(
        some,
        [*NODE_FINAL, *(NOT_STARTED - {NodeState.PENDING})],
        NodeState.PENDING,
        settled=False,
        failed=False,
        retries=0,
        revision=F("revision") + 1,
        worker="",
        worker_id=None,
        resent=0,
        queued_at=None,
        started_at=None,
        finished_at=None,
        eta=None,
        result=None,
        **fresh,
        **error_values(),
    )


_LOG = """
    INSERT INTO {{attempt}}
        (id, node_id, number, task_id, worker, started_at, finished_at, outcome, error_type, error_message, traceback)
    SELECT {random_id}, id, attempts, task_id, worker, started_at, COALESCE(finished_at, %s), state, error_type,
        error_message, traceback
    FROM {{node}} WHERE id IN ({ids}) AND started_at IS NOT NULL AND state IN ({final})
"""


def _log(ids: list[UUID]) -> None:
    """Keep how the last attempt ended, which the row itself forgets."""
    statement = _LOG.format(
        random_id=random_id_sql(sql.connection()),
        ids=", ".join(["%s"] * len(ids)),
        final=", ".join(repr(str(state)) for state in sorted(NODE_FINAL)),
    )
    sql.execute(statement, times.now(), *ids)


def restore(run_id: UUID, ids: Collection[UUID], heads: Collection[UUID]) -> int:
    """Undo what nodes that failed had led to: for children of theirs, and for gather nodes under all that is above.

    What was skipped, or was queued but has not started, waits again. What has started stays as it is.

    Args:
        run_id: the run.
        ids: the nodes that had failed.
        heads: those of them that had been reached.

    Returns:
        How many skipped nodes wait again.
    """
    affected = nodes().filter(run_id=run_id).filter(_UNDONE)
    found = set(affected.filter(parent__isnull=True, is_gather=True).values_list("id", flat=True))
    for batch in in_batches(iter(ids)):
        found |= set(affected.filter(parent__in=batch).values_list("id", flat=True))
    for batch in in_batches(iter(parents_of(run_id, heads))):
        found |= set(affected.filter(parent__in=batch, is_gather=True).values_list("id", flat=True))
    return reset(found)


def gathering(run_id: UUID, ids: Collection[UUID]) -> list[UUID]:
    """Give the gather nodes that wait for nodes: under their parents and all above, but those that they are below.

    Args:
        run_id: the run.
        ids: siblings.
    """
    above = parents_of(run_id, ids)
    gathers = nodes().filter(run_id=run_id, is_gather=True)
    # Gather nodes under one parent start together: none depends on another.
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
    """Let gather nodes that have not started wait for new nodes as well.

    Args:
        run_id: the run.
        ids: the new nodes, siblings.
    """
    for batch in in_batches(iter(gathering(run_id, ids))):
        waiting = nodes().filter(id__in=batch).filter(Q(state=NodeState.QUEUED) | Q(ready=True))
        reset(waiting.values_list("id", flat=True))


def parents_of(run_id: UUID, ids: Collection[UUID]) -> set[UUID]:
    """The keys of all nodes above some, those themselves left out unless they stand above others."""
    parents: set[UUID] = set()
    for batch in in_batches(iter(ids)):
        parents |= set(nodes().filter(id__in=batch, parent__isnull=False).values_list("parent_id", flat=True))
    return ancestors(run_id, parents)


def unsettle(run_id: UUID, ids: Collection[UUID]) -> None:
    """Let the nodes above some settle once more."""
    for batch in in_batches(iter(parents_of(run_id, ids))):
        nodes().filter(id__in=batch).update(settled=False, failed=False, revision=F("revision") + 1)


def release(run_id: UUID, ids: Collection[UUID]) -> None:
    """Make those of the nodes ready that may run now, and skip those that never will."""
    for batch in in_batches(iter(ids)):
        tasks = nodes().filter(id__in=batch, run_id=run_id, state=NodeState.PENDING, is_gather=False)
        may_run = list(tasks.filter(MAY_RUN).values_list("id", flat=True))
        make_ready(nodes().filter(id__in=may_run))
        # Not by negation: NOT of what holds a NULL is NULL.
        reached = set(tasks.filter(REACHED).values_list("id", flat=True))
        skip(nodes().filter(id__in=reached.difference(may_run)))


def reopen(run: TreeRun) -> None:
    """Let a run that has ended go on; a deadline that has passed no longer counts."""
    if run.state not in RUN_FINAL:
        return
    to_come = run.deadline is not None and times.elapsed(run.deadline) < timedelta()
    deadline = run.deadline if to_come else None
    since = timedelta() if run.finished_at is None else times.elapsed(run.finished_at)
    idle = run.idle + max(since, timedelta())
    TreeRun.objects.using(write_alias()).filter(id=run.id).update(
        state=RunState.STARTED, finished_at=None, error_message="", deadline=deadline, idle=idle
    )
