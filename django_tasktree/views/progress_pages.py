"""Pages that show the progress of a run, for sites that have none of their own."""

from uuid import UUID

from django.contrib.auth.views import redirect_to_login
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from django_tasktree.models import TreeRun
from django_tasktree.views.access import visible_run
from django_tasktree.views.shared_links import shared_run


@require_safe
def progress_page(request: HttpRequest, run_id: UUID) -> HttpResponse:
    """Show the progress of a run to a user who may see it; redirect other anonymous users to the login page."""
    try:
        return _page(request, visible_run(request, run_id))
    except Http404:
        if request.user.is_authenticated:
            raise
        return redirect_to_login(request.get_full_path())


@require_safe
def shared_progress_page(request: HttpRequest, token: str) -> HttpResponse:
    """Show the progress of a run to everybody who has a signed link."""
    return _page(request, shared_run(token))


def _page(request: HttpRequest, run: TreeRun) -> HttpResponse:
    return render(request, "django_tasktree/progress_page.html", {"run": run})
