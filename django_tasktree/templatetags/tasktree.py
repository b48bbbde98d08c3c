"""``{% load tasktree %}``: show the progress of runs on pages of your own site."""

from typing import Any

from django import template
from django.core.exceptions import ImproperlyConfigured
from django.urls import NoReverseMatch

from django_tasktree.models import TreeRun
from django_tasktree.reporting.node_counts import Look
from django_tasktree.reporting.progress import progress_of
from django_tasktree.reporting.progress_bar import progress_text, segments
from django_tasktree.states import RunState
from django_tasktree.views.shared_links import progress_link

register = template.Library()


@register.inclusion_tag("django_tasktree/progress.html")
def tasktree_progress(run: Any, reload: bool = False) -> dict[str, Any]:
    """Show the progress of a run, updated until it has ended: ``{% tasktree_progress run reload=True %}``.

    Everybody who sees the page sees the progress, logged in or not: the script polls a signed link, which returns only
    the name, state and times of the run and the counts of its nodes.

    Args:
        run: a ``TreeRun``, a handle, or the ID of a run.
        reload: reload the page when the run has ended, so that it can show the results.

    Raises:
        ImproperlyConfigured: the project's URLs do not include ``django_tasktree.urls``.
        TreeRun.DoesNotExist: the run does not exist.
    """
    row = run if isinstance(run, TreeRun) else TreeRun.objects.get(id=getattr(run, "id", run))
    progress = progress_of(row, Look.PAGE)
    try:
        status = progress_link(row, status=True)
    except NoReverseMatch as error:
        raise ImproperlyConfigured(
            "{% tasktree_progress %} polls a URL of django_tasktree: add "
            'path("tasktree/", include("django_tasktree.urls")) to the project\'s urlpatterns'
        ) from error
    return {
        "run": row,
        "status": status,
        "reload": reload,
        "is_final": row.is_over and progress.is_counted,
        "label": RunState(row.state).label,
        "percent": round(100 * progress.fraction),
        "text": progress_text(progress),
        "segments": segments(progress),
    }
