"""``{% load tasktree_admin %}``: tags for this app's pages in the admin."""

import json
from typing import Any

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from django_tasktree.encoding import times
from django_tasktree.reporting.durations import duration_texts

register = template.Library()


@register.simple_tag(takes_context=True)
def tasktree_dashboard(context: Any) -> str:
    """Show the dashboard; nothing, if the user may not see runs."""
    # Imported here: Django imports all tag libraries with the first template, also in projects without the admin.
    from django_tasktree.admin.app_index import dashboard_html

    return dashboard_html(context["request"])


@register.simple_tag
def tasktree_clock() -> SafeString:
    """Return the HTML attributes from which a script updates durations: the server's time and the texts of units."""
    return format_html(
        'data-tasktree-now="{}" data-tasktree-units="{}"',
        times.instant_now().isoformat(),
        json.dumps(duration_texts()),
    )
