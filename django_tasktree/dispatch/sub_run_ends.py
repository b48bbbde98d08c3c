"""End what a crash has left of sub-runs and of the nodes that wait for them, outside any transaction: for the sweep."""

from collections.abc import Iterable
from uuid import UUID

from django_tasktree.dispatch.after_commit import process_all
from django_tasktree.dispatch.follow_up import OfRun
from django_tasktree.dispatch.sub_run_steps import end_node, end_waiting_node, stop_sub_run
from django_tasktree.encoding.errors import describe
from django_tasktree.engine.control.sub_runs import Abandoned, ended_below
from django_tasktree.engine.database_retries import retry_transient
from django_tasktree.engine.types import Outcome
from django_tasktree.models import NodeRun, TreeRun
from django_tasktree.states import NodeState


def end_waiting_node_now(run: TreeRun) -> bool:
    """Finish the node that waits for a sub-run that has ended. Call it outside any transaction.

    Returns:
        False if no node waits for it any more, or the run of the node is CHANGING.
    """
    return _process(end_waiting_node(run))


def end_missed_nodes_now(run_id: UUID) -> None:
    """Finish the nodes of a run whose sub-runs have ended while the run was CHANGING."""
    while ended := retry_transient(lambda: ended_below(run_id)):
        if sum(map(end_waiting_node_now, ended)) == 0:
            # The run is CHANGING again, or another process has finished them.
            break


def fail_waiting_node_now(node: NodeRun, error: Exception) -> None:
    """Fail a node whose sub-run does not exist any more. Call it outside any transaction."""
    _process(end_node(node, Outcome(NodeState.FAILURE, error=describe(error))))


def stop_sub_run_now(sub_run: Abandoned) -> bool:
    """Revoke a sub-run that no node waits for any more. Call it outside any transaction.

    Returns:
        False if it has ended in the meantime.
    """
    return _process(stop_sub_run(sub_run, terminates=False))


def _process(follow_ups: Iterable[OfRun]) -> bool:
    """Process what follows; return whether there was anything."""
    found = list(follow_ups)
    for run_id, some in found:
        process_all(run_id, some)
    return bool(found)
