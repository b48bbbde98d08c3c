"""pause and resume: keep the nodes of a run or a subtree from starting. Task functions that are running may end."""

from uuid import UUID

from django.db.models import F, Q

from django_tasktree.engine.steps import Steps
from django_tasktree.engine.transitions import move, nodes, runs
from django_tasktree.engine.traversal import subtree
from django_tasktree.states import Hold, RunState


def pause_run(run_id: UUID) -> bool:
    """Prevent claims of a run's nodes. This takes one statement, independent of the size of the run.

    Workers still receive messages that are in the queue; they make those nodes runnable again.

    Returns:
        False if the run is not STARTED.
    """
    return _move(run_id, RunState.STARTED, RunState.PAUSED)


def resume_run(run_id: UUID) -> bool:
    """Permit claims of a paused run's nodes again. The caller calls ``advance`` after commit.

    Returns:
        False if the run is not paused.
    """
    return _move(run_id, RunState.PAUSED, RunState.STARTED)


def pause_subtree(steps: Steps, run_id: UUID, top: UUID) -> int:
    """Hold a node and all nodes below it.

    Returns:
        How many nodes were not held before.
    """
    return _write(steps, run_id, top, Hold.NONE, Hold.PAUSED)


def resume_subtree(steps: Steps, run_id: UUID, top: UUID) -> int:
    """Release the hold on a node and all nodes below it. The caller calls ``advance`` after commit.

    Returns:
        How many nodes were held.
    """
    return _write(steps, run_id, top, Hold.PAUSED, Hold.NONE)


def _move(run_id: UUID, source: RunState, target: RunState) -> bool:
    return move(runs().filter(id=run_id), [source], target, revision=F("revision") + 1) == 1


def _write(steps: Steps, run_id: UUID, top: UUID, source: Hold, target: Hold) -> int:
    """Walk the subtree until a walk finds nothing new, because running tasks may add nodes at the same time."""

    def write(batch: list[UUID]) -> int:
        return nodes().filter(id__in=batch, hold=source).update(hold=target)

    moved = 0
    while changed := steps.each(subtree(run_id, top), write, left=Q(hold=source)):
        moved += changed
    return moved
