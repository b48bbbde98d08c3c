"""Pause and resume the sub-runs of a run, or of a node with its subtree, in the transaction of that action itself."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

from django_tasktree.conf import settings
from django_tasktree.dispatch.after_commit import advance_and_settle_after_commit
from django_tasktree.engine.control import sub_runs
from django_tasktree.engine.history import record_runs
from django_tasktree.engine.traversal import in_chunks, subtree
from django_tasktree.models.history_entry import Action
from django_tasktree.states import RunState


def pause_sub_runs(run_id: UUID, node_id: UUID | None, by: Any) -> None:
    """Pause the open sub-runs, and theirs.

    Args:
        run_id: the run.
        node_id: only those of this node and the nodes below it; None: those of the whole run.
        by: the user, or a text that names the program or person.
    """
    for batch in _below(run_id, node_id, under_holds=True):
        paused = sub_runs.move_sub_runs(batch, RunState.STARTED, RunState.PAUSED)
        record_runs(paused, Action.PAUSE, by, note=_note(run_id))


def resume_sub_runs(run_id: UUID, node_id: UUID | None, by: Any) -> None:
    """Resume the paused sub-runs, and theirs, unless a run above or the subtree of their node stays paused.

    The arguments are those of :func:`pause_sub_runs`.
    """
    # A node whose subtree is resumed waits in a run that may be paused; in a run, the subtree of a node may be.
    if node_id is not None and sub_runs.is_paused(run_id):
        return
    for batch in _below(run_id, node_id, under_holds=False):
        resumed = sub_runs.move_sub_runs(batch, RunState.PAUSED, RunState.STARTED)
        record_runs(resumed, Action.RESUME, by, note=_note(run_id))
        for key in resumed:
            advance_and_settle_after_commit(key, resumed=True)


def _below(run_id: UUID, node_id: UUID | None, *, under_holds: bool) -> Iterator[list[UUID]]:
    """Yield the open sub-runs in batches; the caller locks those of a batch before it takes the next one."""
    tops = [run_id]
    if node_id is not None:
        tops = sub_runs.waited_for_below(run_id, subtree(run_id, node_id))
        yield from in_chunks(tops, settings.batch_size)
    yield from sub_runs.open_sub_runs(tops, under_holds=under_holds)


def _note(run_id: UUID) -> str:
    return f"together with run {run_id}"
