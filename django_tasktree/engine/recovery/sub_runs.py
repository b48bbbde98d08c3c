"""Find nodes that wait although their sub-run has ended, and open sub-runs for which no node waits."""

from collections.abc import Iterator

from django_tasktree.engine.control.sub_runs import Abandoned, without_waiting
from django_tasktree.engine.recovery.scan import Scan, unsettled
from django_tasktree.engine.transitions import nodes, runs
from django_tasktree.models import NodeRun, TreeRun
from django_tasktree.states import RUN_FINAL, RUN_STOPPABLE, NodeState


def ended_sub_runs(scan: Scan) -> Iterator[tuple[NodeRun, TreeRun | None]]:
    """Find nodes that wait for a sub-run that has ended, or does not exist any more.

    Args:
        scan: the extent of the pass.

    Yields:
        The node, and the sub-run; None if that was deleted.
    """
    for page in scan.pages("sub-runs", unsettled(NodeState.WAITING), "run_id", "task_id", "wait"):
        waiting = {key: (run_id, task_id) for key, run_id, task_id, wait in page if wait is None}
        if not waiting:
            continue
        some = runs().filter(parent_run_id__in={run_id for run_id, _ in waiting.values()}, parent_node_id__in=waiting)
        found = {run.parent_task_id: run for run in some.defer("params", "returns")}
        for node in nodes().filter(id__in=waiting, state=NodeState.WAITING):
            run = found.get(waiting[node.id][1])
            if node.task_id == waiting[node.id][1] and (run is None or run.state in RUN_FINAL):
                yield node, run


def abandoned_sub_runs(scan: Scan) -> Iterator[Abandoned]:
    """Find open sub-runs for which no node waits any more.

    Args:
        scan: the extent of the pass.
    """
    for state in sorted(RUN_STOPPABLE):
        for page in scan.pages(f"sub-run {state}", runs().filter(state=state), "parent_run_id"):
            keys = [key for key, parent_run_id in page if parent_run_id is not None]
            if keys:
                yield from without_waiting(runs().filter(id__in=keys, state__in=RUN_STOPPABLE))
