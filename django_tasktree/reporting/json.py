"""The JSON of runs, for the command line and for views."""

from typing import Any

from django_tasktree.encoding import times
from django_tasktree.models import TreeRun
from django_tasktree.reporting.progress import Progress


def run_json(run: TreeRun, progress: Progress) -> dict[str, Any]:
    """Return a run and its progress as a dict for JSON; times are instants, the duration is in seconds."""
    return {
        "id": str(run.id),
        "name": run.name,
        "definition": run.definition,
        "params": run.params,
        "state": run.state,
        "error": run.error_message or None,
        "parent": parent_json(run),
        "created_at": times.for_json(run.created_at),
        "started_at": times.for_json(run.started_at),
        "finished_at": times.for_json(run.finished_at),
        "duration": None if run.duration is None else run.duration.total_seconds(),
        "progress": progress_json(progress),
    }


def parent_json(run: TreeRun) -> dict[str, str] | None:
    """Return the run and the node that have started a sub-run, as a dict for JSON; None for any other run."""
    if run.parent_run_id is None:
        return None
    return {"run": str(run.parent_run_id), "node": str(run.parent_node_id)}


def progress_json(progress: Progress) -> dict[str, Any]:
    """Return the progress of a run as a dict for JSON."""
    return {
        "total": progress.total,
        "done": progress.done,
        "failed": progress.failed,
        "by_state": progress.by_state,
    }
