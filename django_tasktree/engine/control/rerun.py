"""Run a node again, even if it succeeded, with its subtree and the gather nodes that wait for it."""

from functools import partial
from uuid import UUID

from django.db.models import Q
from django.utils.translation import gettext_noop as _

from django_tasktree.engine.control.reachability import may_run
from django_tasktree.engine.control.reset import gathering, reset, running_refusal, undone_anywhere, unsettle
from django_tasktree.engine.deletion.added import added_at_runtime, remove_added
from django_tasktree.engine.deletion.rows import refuse_kept
from django_tasktree.engine.lifecycle.release import make_runnable
from django_tasktree.engine.random_ids import RandomId
from django_tasktree.engine.steps import Steps
from django_tasktree.engine.transitions import move, nodes
from django_tasktree.engine.traversal import subtree
from django_tasktree.engine.types import Effect
from django_tasktree.exceptions import NotPossible
from django_tasktree.models import NodeRun
from django_tasktree.states import NODE_FINAL, STANDING_BY, NodeState


def refuse_rerun(top: UUID) -> None:
    """Raise an error if a node can't be run again.

    Raises:
        NotPossible: if the node has not run, or its parent's present outcome does not let it run.
    """
    row = nodes().get(id=top)
    refuse_unfinished(row)
    refuse_before_parent(row)


def tops_of_rerun(run_id: UUID, top: UUID) -> list[UUID]:
    """Return the tops of the subtrees that run again: a node and the gather nodes that wait for it."""
    return [top, *gathering(run_id, [top])]


def rerun(steps: Steps, run_id: UUID, top: UUID) -> Effect:
    """Reset a node and everything that depends on it. Nodes that tasks added there are deleted; the tasks add new ones.

    The caller has locked the run or set it to CHANGING; afterwards it reopens the run.

    Args:
        steps: how the nodes are divided into transactions.
        run_id: the run.
        top: the node.

    Raises:
        NotPossible: if a dependent node is running, or rows of other apps prevent the deletion of a node.
    """
    tops = tops_of_rerun(run_id, top)
    affected = list(dict.fromkeys(key for some in tops for key in subtree(run_id, some)))
    removed = added_at_runtime(affected)
    # In ``affected``, a node comes after its ancestors: delete from below.
    going = [key for key in reversed(affected) if key in removed]

    def refuse() -> None:
        steps.each(affected, _refuse_running)
        if steps.are_separate:
            refuse_kept(going)

    steps.check(refuse, undo=lambda: steps.each(affected, _let_start))
    again = steps.each(tops, partial(_reset_tops, run_id))
    gone = steps.each(going, partial(remove_added, run_id))
    done = removed.union(tops)
    rest = [key for key in affected if key not in done]
    again += steps.each(rest, reset, left=~Q(state=NodeState.PENDING, runnable=False))
    if steps.are_separate:
        # Others may have added nodes in the meantime.
        again += steps.each(undone_anywhere(run_id), reset)
    # A gather node is not made runnable: settle starts it when everything else under its parent has settled.
    steps.each([top], partial(_make_runnable, run_id))
    stays = nodes().filter(run_id=run_id, state=NodeState.SUCCESS).count()
    return Effect(again=again, stays=stays, removed=gone)


def refuse_unfinished(row: NodeRun) -> None:
    """Raise an error if a node has not run.

    Raises:
        NotPossible: if the node is not finished, or was skipped or revoked without an attempt.
    """
    never_ran = row.state in (NodeState.SKIPPED, NodeState.REVOKED) and row.attempts == 0
    if row.state not in NODE_FINAL or never_ran:
        raise NotPossible(
            _("node %(node)s is %(state)s: only a node that has run can be run again"), node=row.id, state=row.state
        )


def refuse_before_parent(row: NodeRun) -> None:
    """Raise an error if a node ran before, but its parent's present outcome does not let it run.

    Raises:
        NotPossible: if the parent has not finished, or finished with another outcome.
    """
    if not may_run(row.id):
        parent_id, state = nodes().values_list("parent_id", "parent__state").get(id=row.id)
        text = _("node %(node)s can't run now, because node %(parent)s, above it, is %(state)s: run that one first")
        raise NotPossible(text, node=row.id, parent=parent_id, state=state)


def _refuse_running(ids: list[UUID]) -> int:
    """Prevent claims and ends of nodes that stand by with new task IDs.

    A concurrent one has either been committed before, or fails.

    Raises:
        NotPossible: if one of the nodes is running.
    """
    rows = nodes().filter(id__in=ids).select_for_update().order_by("id").values_list("id", "state")
    states = dict(rows)
    running = next((key for key, state in states.items() if state == NodeState.STARTED), None)
    if running is not None:
        raise running_refusal(running)
    waiting = [key for key, state in states.items() if state in STANDING_BY]
    if waiting:
        nodes().filter(id__in=waiting).update(task_id=RandomId())
    return 0


def _let_start(ids: list[UUID]) -> int:
    """Make nodes that stand by runnable, because their messages are out of date since their task IDs were changed.

    Nodes that wait for a sub-run go on waiting for it.
    """
    some = nodes().filter(~Q(state=NodeState.WAITING) | Q(sub_run_id__isnull=True), id__in=ids)
    move(some, STANDING_BY, NodeState.PENDING, runnable=True)
    return 0


def _reset_tops(run_id: UUID, tops: list[UUID]) -> int:
    unsettle(run_id, tops)
    return reset(tops)


def _make_runnable(run_id: UUID, ids: list[UUID]) -> int:
    make_runnable(nodes().filter(id__in=ids, run_id=run_id, is_gather=False))
    return 0
