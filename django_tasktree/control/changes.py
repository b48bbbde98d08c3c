"""Carry out changes of runs: actions on many nodes, in batches, and their effects after commit."""

import logging
from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import UUID

from django.db import transaction

from django_tasktree.control.sub_runs import pause_sub_runs, resume_sub_runs
from django_tasktree.dispatch import termination
from django_tasktree.dispatch.after_commit import advance_and_settle_after_commit
from django_tasktree.dispatch.sub_run_ends import end_missed_nodes_now
from django_tasktree.dispatch.wait_ends import end_missed_waits_now
from django_tasktree.engine.control.change import Change, Overtaken
from django_tasktree.engine.control.pause import pause_subtree, resume_subtree
from django_tasktree.engine.control.refusals import ABORTED
from django_tasktree.engine.control.rerun import rerun
from django_tasktree.engine.control.retry import find_failed, retry_failed
from django_tasktree.engine.database_retries import retry_transient
from django_tasktree.engine.lifecycle.stop import revoke_waiting, stop_subtree
from django_tasktree.engine.transitions import write_alias
from django_tasktree.engine.types import Effect
from django_tasktree.exceptions import NotPossible
from django_tasktree.models import HistoryEntry
from django_tasktree.models.history_entry import Action

logger = logging.getLogger(__name__)

#: The note in the history of a revocation that also stops running tasks.
TERMINATE = "terminate"


class Interrupted(Exception):
    """Raised if there is no time for the next batch."""


def carry_out(change: Change) -> Effect:
    """Carry out a change in batches, and release its run from the state CHANGING.

    Args:
        change: the change, which was begun in a transaction that has committed.

    Returns:
        The effect of what this process has done; that of the whole change if another process has carried it out.

    Raises:
        NotPossible: the action turned out to be impossible, or the run was ended or deleted in the meantime.
    """
    try:
        effect = _ACTS[change.action](change)
        retry_transient(lambda: _end(change))
    except Overtaken:
        return _overtaken(change)
    except NotPossible:
        if change.was_refused:
            _cancel(change)
        raise
    return effect


def continue_change(entry: HistoryEntry, may_continue: Callable[[], bool] = lambda: True) -> bool:
    """Continue a change that a lost process has left unfinished.

    Args:
        entry: the history entry of the change.
        may_continue: see :func:`carry_out_while`.

    Returns:
        False if the change is not continued, because it was aborted or turned out to be impossible.

    Raises:
        Interrupted: see :func:`carry_out_while`.
    """
    change = Change(entry, is_resumed=True)
    try:
        carry_out_while(change, may_continue)
    except NotPossible as exc:
        if change.is_open():
            raise
        logger.info("the %s of run %s is not continued: %s", change.action, change.run_id, exc)
        return False
    return True


def carry_out_while(change: Change, may_continue: Callable[[], bool]) -> None:
    """Carry out a change in batches, as long as there is time.

    Args:
        change: the change.
        may_continue: called before each batch; returns whether there is time for it.

    Raises:
        Interrupted: there was not enough time; the next sweep continues the change.
        NotPossible: see :func:`carry_out`.
    """

    def check_time() -> None:
        if not may_continue():
            raise Interrupted

    change.between = check_time
    try:
        carry_out(change)
    except Interrupted:
        change.interrupt()
        raise


def _end(change: Change) -> None:
    with transaction.atomic(using=write_alias()):
        _continue_after_commit(change, terminates=change.note == TERMINATE, ended=change.end())


def _continue_after_commit(change: Change, **effects: Any) -> None:
    """Let the run go on, and the nodes end that could not end while it was CHANGING, when the transaction commits."""
    advance_and_settle_after_commit(change.run_id, resumed=True, **effects)
    transaction.on_commit(partial(_end_what_was_missed, change.run_id), using=write_alias())


def _end_what_was_missed(run_id: UUID) -> None:
    """End the nodes that wait and whose event, time or sub-run's end has come while the run was CHANGING."""
    end_missed_waits_now(run_id)
    end_missed_nodes_now(run_id)


def _cancel(change: Change) -> None:
    def cancel() -> None:
        with transaction.atomic(using=write_alias()):
            change.cancel()
            _continue_after_commit(change)

    try:
        retry_transient(cancel)
    except Overtaken:
        change.close()


def _overtaken(change: Change) -> Effect:
    if not change.close():
        raise NotPossible(ABORTED, run=change.run_id) from None
    logger.info("another process has carried out the %s of run %s", change.action, change.run_id)
    return Effect(**{_MOVED[change.action]: change.moved()})


def _retry(change: Change) -> Effect:
    failed = find_failed(change.run_id, change.node_id)
    return retry_failed(change, change.run_id, change.node_id, failed)


def _rerun(change: Change) -> Effect:
    return rerun(change, change.run_id, _node_of(change))


def _revoke(change: Change) -> Effect:
    # No further task of the subtree or run starts from now on.
    running = termination.running(change.run_id, change.node_id)
    if change.note == TERMINATE:
        termination.terminate(running)
    if change.node_id is None:
        return Effect(revoked=revoke_waiting(change, change.run_id), running=len(running))
    return Effect(revoked=stop_subtree(change, change.run_id, change.node_id), running=len(running))


def _pause(change: Change) -> Effect:
    node_id = _node_of(change)
    held = pause_subtree(change, change.run_id, node_id)
    change.step(_sub_runs(change, pause_sub_runs))
    return Effect(held=held, running=len(termination.running(change.run_id, node_id)))


def _resume(change: Change) -> Effect:
    node_id = _node_of(change)
    held = resume_subtree(change, change.run_id, node_id)
    change.step(_sub_runs(change, resume_sub_runs))
    return Effect(held=held)


def _sub_runs(change: Change, act: Callable[[UUID, UUID | None, Any], None]) -> Callable[[], int]:
    def step() -> int:
        act(change.run_id, change.node_id, None)
        return 0

    return step


def _node_of(change: Change) -> UUID:
    if change.node_id is None:
        raise LookupError(f"the node of the {change.action} of run {change.run_id} does not exist any more")
    return change.node_id


#: The attribute of :class:`Effect` that contains the number of changed nodes, by action.
_MOVED = {
    Action.RETRY: "again",
    Action.RERUN: "again",
    Action.REVOKE: "revoked",
    Action.DEADLINE: "revoked",
    Action.PAUSE: "held",
    Action.RESUME: "held",
}
_ACTS: dict[Action, Callable[[Change], Effect]] = {
    Action.RETRY: _retry,
    Action.RERUN: _rerun,
    Action.REVOKE: _revoke,
    Action.DEADLINE: _revoke,
    Action.PAUSE: _pause,
    Action.RESUME: _resume,
}
