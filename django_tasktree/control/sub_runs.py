"""Pause and resume the sub-runs of a run, or of a node with its subtree, in the transaction of that action itself."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

from django_tasktree.dispatch.after_commit import advance_and_settle_after_commit
from django_tasktree.engine.control.sub_runs import (
    is_paused,
    open_sub_runs,
    pause_sub_run,
    resume_sub_run,
    waited_for_below,
)
from django_tasktree.engine.history import record
from django_tasktree.engine.traversal import subtree
from django_tasktree.models.history_entry import Action


def pause_sub_runs(run_id: UUID, node_id: UUID | None, by: Any) -> int:
    """Pause the open sub-runs, and theirs.

    Args:
        run_id: the run.
        node_id: only those of this node and the nodes below it; None: those of the whole run.
        by: the user, or a text that names the program or person.

    Returns:
        How many runs were paused.
    """
    paused = 0
    for key in _below(run_id, node_id, under_holds=True):
        if pause_sub_run(key):
            record(key, Action.PAUSE, by, note=_note(run_id))
            paused += 1
    return paused


def resume_sub_runs(run_id: UUID, node_id: UUID | None, by: Any) -> int:
    """Resume the paused sub-runs, and theirs, unless a run above or the subtree of their node stays paused.

    The arguments are those of :func:`pause_sub_runs`.

    Returns:
        How many runs were resumed.
    """
    # A node whose subtree is resumed waits in a run that may be paused; in a run, the subtree of a node may be.
    if node_id is not None and is_paused(run_id):
        return 0
    resumed = 0
    for key in _below(run_id, node_id, under_holds=False):
        if resume_sub_run(key):
            record(key, Action.RESUME, by, note=_note(run_id))
            advance_and_settle_after_commit(key, resumed=True)
            resumed += 1
    return resumed


def _below(run_id: UUID, node_id: UUID | None, *, under_holds: bool) -> Iterator[UUID]:
    if node_id is None:
        yield from open_sub_runs(run_id, under_holds=under_holds)
        return
    for key in waited_for_below(run_id, subtree(run_id, node_id)):
        yield key
        yield from open_sub_runs(key, under_holds=under_holds)


def _note(run_id: UUID) -> str:
    return f"together with run {run_id}"
