"""What follows when sub-runs have ended, or no node waits for them any more."""

from collections.abc import Iterator
from functools import partial
from uuid import UUID

from django_tasktree.dispatch.follow_up import FollowUp, OfRun, end_from_waiting
from django_tasktree.dispatch.sub_run_outcome import outcome_of
from django_tasktree.engine.control.sub_runs import (
    Abandoned,
    abandoned,
    lock_waiting_node,
    stop_abandoned,
    waiting_node,
)
from django_tasktree.engine.database_retries import retry_transient
from django_tasktree.engine.transitions import runs
from django_tasktree.engine.types import NodeRef, Outcome
from django_tasktree.models import NodeRun, TreeRun
from django_tasktree.states import RUN_FINAL, RunState


def stop_sub_runs(run_id: UUID, *, terminates: bool) -> Iterator[OfRun]:
    """Revoke the sub-runs of a run that no node waits for any more, because the nodes were stopped or run again."""
    for sub_run in retry_transient(lambda: abandoned(run_id)):
        yield from stop_sub_run(sub_run, terminates=terminates)


def stop_sub_run(sub_run: Abandoned, *, terminates: bool) -> Iterator[OfRun]:
    """Revoke a sub-run; yield what follows in it, and nothing if it has ended."""
    if retry_transient(lambda: stop_abandoned(sub_run)):
        below = sub_run.run_id if terminates else None
        yield (
            sub_run.run_id,
            [
                FollowUp(
                    finished_but_unsettled=True,
                    terminates_below=below,
                    ended=RunState.REVOKED,
                    # No node waits for it.
                    may_be_sub_run=False,
                )
            ],
        )


def end_node_of(run_id: UUID) -> Iterator[OfRun]:
    """Finish the node that waits for a run that has ended, if there is one."""
    sub_runs = runs().filter(id=run_id, parent_run_id__isnull=False, state__in=RUN_FINAL)
    run: TreeRun | None = retry_transient(lambda: sub_runs.all().first())
    if run is not None:
        yield from end_waiting_node(run)


def end_waiting_node(run: TreeRun) -> Iterator[OfRun]:
    """Finish the node that waits for a sub-run that has ended; yield what follows.

    Nothing is done if the sub-run is not as it was read any more: its next end finishes the node.
    """
    node = retry_transient(lambda: waiting_node(run))
    if node is not None:
        yield from end_node(node, retry_transient(lambda: outcome_of(run, node)), run)


def end_node(node: NodeRun, outcome: Outcome, sub_run: TreeRun | None = None) -> Iterator[OfRun]:
    """Finish a node that waits for a sub-run; yield what follows.

    Args:
        node: the node.
        outcome: its outcome.
        sub_run: the sub-run from which the outcome was made; None if it does not exist any more.
    """
    follow_up = end_from_waiting(NodeRef.of(node), partial(lock_waiting_node, node, sub_run), outcome)
    if follow_up is not None:
        yield node.run_id, [follow_up]
