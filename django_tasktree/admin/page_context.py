"""What the templates of the app's own pages need, beside what each page shows."""

from typing import Any

from django.contrib.admin import ModelAdmin
from django.http import HttpRequest


def page_context(admin: "ModelAdmin[Any]", request: HttpRequest, title: str) -> dict[str, Any]:
    """Give it.

    Args:
        admin: whose page it is.
        request: it is told the site that links lead to.
        title: of the page; the stock breadcrumbs end with it.
    """
    request.current_app = admin.admin_site.name
    return {
        **admin.admin_site.each_context(request),
        "title": title,
        "original": title,
        "opts": admin.opts,
        "media": admin.media,
        "has_view_permission": admin.has_view_permission(request),
    }
