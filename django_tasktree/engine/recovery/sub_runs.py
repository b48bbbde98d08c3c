"""Find nodes that wait although their sub-run has ended, and open sub-runs for which no node waits."""

from collections.abc import Iterator
from uuid import UUID

from django_tasktree.engine.control.sub_runs import Abandoned, without_waiting
from django_tasktree.engine.recovery.scan import Scan, unsettled
from django_tasktree.engine.transitions import nodes, runs
from django_tasktree.models import NodeRun, TreeRun
from django_tasktree.states import RUN_FINAL, RUN_STOPPABLE, NodeState, RunState


def ended_sub_runs(scan: Scan) -> Iterator[tuple[NodeRun, TreeRun | None]]:
    """Find nodes that wait for a sub-run that has ended, or does not exist any more.

    Args:
        scan: the extent of the pass.

    Yields:
        The node, and the sub-run; None if that was deleted.
    """
    for page in scan.pages("sub-runs", unsettled(NodeState.WAITING), "sub_run_id"):
        wanted = {run_id for _, run_id in page if run_id is not None}
        if not wanted:
            continue
        states = dict(runs().filter(id__in=wanted).values_list("id", "state"))
        over = {run_id for run_id in wanted if states.get(run_id, RunState.REVOKED) in RUN_FINAL}
        found: dict[UUID | None, TreeRun] = {run.id: run for run in runs().filter(id__in=over)} if over else {}
        for node in nodes().filter(id__in=[key for key, run_id in page if run_id in over], state=NodeState.WAITING):
            if node.sub_run_id in over:
                yield node, found.get(node.sub_run_id)


def abandoned_sub_runs(scan: Scan) -> Iterator[Abandoned]:
    """Find open sub-runs for which no node waits any more.

    Args:
        scan: the extent of the pass.
    """
    going = runs().filter(state__in=RUN_STOPPABLE, parent_run_id__isnull=False, detached=False)
    for page in scan.pages("open sub-runs", going):
        yield from without_waiting(going.filter(id__in=[key for (key,) in page]))
