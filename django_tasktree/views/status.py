"""How a run stands, as JSON."""

from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_safe

from django_tasktree.conditional import conditional
from django_tasktree.models import TreeRun
from django_tasktree.progress import Progress, recent_progress_of
from django_tasktree.progress_bar import progress_text, segments
from django_tasktree.run_json import run_json
from django_tasktree.states import RunState
from django_tasktree.views.access import visible_run
from django_tasktree.views.answers import answer, with_json_errors
from django_tasktree.views.shared_links import shared_run


@with_json_errors
@require_safe
def run_status(request: HttpRequest, run_id: UUID) -> HttpResponse:
    """Tell how a run stands to those who may see it."""
    return conditional(request, answer(status_json(visible_run(request, run_id))))


@with_json_errors
@require_safe
def shared_status(request: HttpRequest, token: str) -> HttpResponse:
    """Tell how far a run is to those who have a signed link."""
    return conditional(request, answer(progress_status(shared_run(token))))


def status_json(run: TreeRun) -> dict[str, Any]:
    """Describe a run."""
    progress = recent_progress_of(run)
    described = run_json(run, progress)
    links = {
        "children": reverse("tasktree:children", args=[run.id]),
        "progress": reverse("tasktree:progress", args=[run.id]),
    }
    return {**described, **_told_to_all(run, progress, described), "links": links}


def progress_status(run: TreeRun) -> dict[str, Any]:
    """Describe only how far a run is."""
    progress = recent_progress_of(run)
    return _told_to_all(run, progress, run_json(run, progress))


def _told_to_all(run: TreeRun, progress: Progress, described: dict[str, Any]) -> dict[str, Any]:
    return {
        **{key: described[key] for key in ("id", "name", "state", "created_at", "started_at", "finished_at")},
        "state_label": str(RunState(run.state).label),
        "is_over": run.is_over,
        # While it grows, each look would have another answer.
        "duration": described["duration"] if run.is_over else None,
        "progress": {
            **described["progress"],
            "fraction": round(progress.fraction, 4),
            "text": progress_text(progress),
            "segments": segments(progress),
        },
    }
