"""pause and resume: nothing new starts in a run, or below a node; what runs may end."""

from uuid import UUID

from django.db.models import F

from django_tasktree.engine.moves import nodes, write_alias
from django_tasktree.engine.subtree import in_batches, subtree
from django_tasktree.models import TreeRun
from django_tasktree.states import Hold, RunState


def pause_run(run_id: UUID) -> bool:
    """Let no node of a run be claimed any more; one statement, whatever the size of the run.

    Messages that are on their way are taken by workers, which put their nodes back.

    Returns:
        False where the run is not going.
    """
    return _move(run_id, RunState.STARTED, RunState.PAUSED)


def resume_run(run_id: UUID) -> bool:
    """Let the nodes of a paused run be claimed again; the caller lets it advance after commit.

    Returns:
        False where the run is not paused.
    """
    return _move(run_id, RunState.PAUSED, RunState.STARTED)


def pause_subtree(run_id: UUID, top: UUID) -> int:
    """Hold a node and all below it back, until a walk finds nothing new: bodies may be adding nodes at this moment.

    Returns:
        How many nodes are held back that were not before.
    """
    held = 0
    while changed := _write(run_id, top, Hold.NONE, Hold.PAUSED):
        held += changed
    return held


def resume_subtree(run_id: UUID, top: UUID) -> int:
    """Hold a node and all below it back no longer; the caller lets the run advance after commit.

    Returns:
        How many nodes were held back.
    """
    freed = 0
    while changed := _write(run_id, top, Hold.PAUSED, Hold.NONE):
        freed += changed
    return freed


def _move(run_id: UUID, source: RunState, target: RunState) -> bool:
    runs = TreeRun.objects.using(write_alias()).filter(id=run_id, state=source)
    return runs.update(state=target, revision=F("revision") + 1) == 1


def _write(run_id: UUID, top: UUID, source: Hold, target: Hold) -> int:
    batches = in_batches(subtree(run_id, top))
    return sum(nodes().filter(id__in=batch, hold=source).update(hold=target) for batch in batches)
