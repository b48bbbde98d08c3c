"""Find sub-runs in tests."""

from django_tasktree import TreeResult
from django_tasktree.models import TreeRun


def sub_runs_of(node):
    """Return the handles of the sub-runs that a node has started, oldest first."""
    runs = TreeRun.objects.filter(parent_node_id=node.id).order_by("id")
    return [TreeResult(run.id) for run in runs]


def sub_run_of(node):
    """Return the handle of the only sub-run of a node."""
    (run,) = sub_runs_of(node)
    return run
