"""The state and progress of a run as JSON."""

from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_safe

from django_tasktree.models import TreeRun
from django_tasktree.reporting.http_cache import with_etag
from django_tasktree.reporting.json import run_json
from django_tasktree.reporting.node_counts import Look
from django_tasktree.reporting.progress import Progress, progress_of
from django_tasktree.reporting.progress_bar import progress_text, segments
from django_tasktree.states import RunState
from django_tasktree.views.access import visible_run
from django_tasktree.views.answers import answer, with_json_errors
from django_tasktree.views.shared_links import shared_run


@with_json_errors
@require_safe
def run_status(request: HttpRequest, run_id: UUID) -> HttpResponse:
    """Return the state and progress of a run to a user who may see it."""
    return with_etag(request, answer(status_json(visible_run(request, run_id))))


@with_json_errors
@require_safe
def shared_status(request: HttpRequest, token: str) -> HttpResponse:
    """Return the progress of a run to everybody who has a signed link."""
    return with_etag(request, answer(progress_status(shared_run(token))))


def status_json(run: TreeRun) -> dict[str, Any]:
    """Return a run as a dict for JSON, with the URLs of its children and its progress page."""
    progress = progress_of(run, Look.POLL)
    described = run_json(run, progress)
    links = {
        "children": reverse("tasktree:children", args=[run.id]),
        "progress": reverse("tasktree:progress", args=[run.id]),
    }
    return {**described, **_public_part(run, progress, described), "links": links}


def progress_status(run: TreeRun) -> dict[str, Any]:
    """Return only what everybody with a signed link may see: name, state, times and counts."""
    progress = progress_of(run, Look.POLL)
    return _public_part(run, progress, run_json(run, progress))


def _public_part(run: TreeRun, progress: Progress, described: dict[str, Any]) -> dict[str, Any]:
    return {
        **{key: described[key] for key in ("id", "name", "state", "created_at", "started_at", "finished_at")},
        "state_label": str(RunState(run.state).label),
        "is_over": run.is_over,
        # None while the run is not over: a growing duration would change the ETag of each response.
        "duration": described["duration"] if run.is_over else None,
        "progress": {
            **described["progress"],
            "is_counted": progress.is_counted,
            "fraction": round(progress.fraction, 4),
            "text": progress_text(progress),
            "segments": segments(progress),
        },
    }
