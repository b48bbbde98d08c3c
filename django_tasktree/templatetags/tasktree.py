"""``{% load tasktree %}``: progress of runs on users' own pages."""

from typing import Any

from django import template
from django.core.exceptions import ImproperlyConfigured
from django.urls import NoReverseMatch

from django_tasktree.models import TreeRun
from django_tasktree.progress import progress_of
from django_tasktree.progress_bar import progress_text, segments
from django_tasktree.states import RunState
from django_tasktree.views.shared_links import progress_link

register = template.Library()


@register.inclusion_tag("django_tasktree/progress.html")
def tasktree_progress(run: Any, reload: bool = False) -> dict[str, Any]:
    """Show how far a run is, live until it has ended.

    Whoever sees the page sees this, logged in or not: the script asks by a signed link, which tells counts alone.

    Args:
        run: a ``TreeRun``, a handle, or the key of a run.
        reload: load the page again when the run has ended, so that it can show what came of it.

    Raises:
        ImproperlyConfigured: the project's URLs do not include ``django_tasktree.urls``.
        TreeRun.DoesNotExist: there is no such run.
    """
    row = run if isinstance(run, TreeRun) else TreeRun.objects.get(id=getattr(run, "id", run))
    progress = progress_of(row)
    try:
        status = progress_link(row, status=True)
    except NoReverseMatch as error:
        raise ImproperlyConfigured(
            "{% tasktree_progress %} asks for how a run stands: add "
            'path("tasktree/", include("django_tasktree.urls")) to the project\'s urlpatterns'
        ) from error
    return {
        "run": row,
        "status": status,
        "reload": reload,
        "label": RunState(row.state).label,
        "percent": round(100 * progress.fraction),
        "text": progress_text(progress),
        "segments": segments(progress),
    }
