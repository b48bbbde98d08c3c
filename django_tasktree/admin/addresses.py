"""URLs of this app's pages in the admin."""

from typing import Any

from django.urls import reverse


def page_address(site: str, name: str, *args: Any) -> str:
    """Return the URL path of a page.

    Args:
        site: the name of the admin site.
        name: the model and the view, as in ``"treerun_change"``.
        *args: the arguments of the view.
    """
    return reverse(f"admin:django_tasktree_{name}", args=args, current_app=site)
