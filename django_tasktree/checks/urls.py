"""Checks of the project's URLs."""

import sys
from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage
from django.core.checks import Warning as Warned
from django.urls import NoReverseMatch, reverse


def urls_are_included() -> Iterator[CheckMessage]:
    """Check W007: views that launch trees must not redirect to progress pages without a URL."""
    if not getattr(settings, "ROOT_URLCONF", None):
        return
    try:
        # This loads the project's views too.
        reverse("tasktree:shared_progress", args=["token"])
    except NoReverseMatch:
        for view in _redirecting_views():
            yield Warned(
                f"{view.__module__}.{view.__qualname__} redirects to the progress page of its run, but the project's "
                "URLs do not include django_tasktree.urls.",
                hint='Add path("tasktree/", include("django_tasktree.urls")) to urlpatterns, or set a success_url.',
                id="django_tasktree.W007",
            )


def _redirecting_views() -> Iterator[type[Any]]:
    # This package must not import views, a higher layer. If the module was not imported, there is no such view.
    module: Any = sys.modules.get("django_tasktree.views.launching")
    waiting = [] if module is None else list(module.TreeLaunchView.__subclasses__())
    while waiting:
        view = waiting.pop()
        waiting.extend(view.__subclasses__())
        own = view.get_success_url is not module.TreeLaunchView.get_success_url
        if not own and not getattr(view, "success_url", None):
            yield view
