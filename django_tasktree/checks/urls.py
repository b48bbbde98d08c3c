"""The project's URLs."""

import sys
from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage
from django.core.checks import Warning as Warned
from django.urls import NoReverseMatch, reverse


def urls_are_included() -> Iterator[CheckMessage]:
    """W007: a view that launches trees leads to progress pages that have no URL."""
    if not getattr(settings, "ROOT_URLCONF", None):
        return
    try:
        # This loads the project's views too.
        reverse("tasktree:shared_progress", args=["token"])
    except NoReverseMatch:
        for view in _views_that_lead_there():
            yield Warned(
                f"{view.__module__}.{view.__qualname__} leads to the progress page of its run, but the project's URLs "
                "do not include django_tasktree.urls.",
                hint='Add path("tasktree/", include("django_tasktree.urls")) to urlpatterns, or set a success_url.',
                id="django_tasktree.W007",
            )


def _views_that_lead_there() -> Iterator[type[Any]]:
    # Checks know nothing of views, which stand above them; where none was loaded, there is none.
    module: Any = sys.modules.get("django_tasktree.views.launching")
    waiting = [] if module is None else list(module.TreeLaunchView.__subclasses__())
    while waiting:
        view = waiting.pop()
        waiting.extend(view.__subclasses__())
        own = view.get_success_url is not module.TreeLaunchView.get_success_url
        if not own and not getattr(view, "success_url", None):
            yield view
