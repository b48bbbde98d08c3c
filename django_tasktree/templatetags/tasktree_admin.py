"""``{% load tasktree_admin %}``: for the app's own pages of the admin."""

import json
from typing import Any

from django import template
from django.template.loader import render_to_string
from django.utils.html import format_html
from django.utils.safestring import SafeString

from django_tasktree import times
from django_tasktree.durations import duration_texts

register = template.Library()


@register.simple_tag(takes_context=True)
def tasktree_dashboard(context: Any) -> str:
    """Show the dashboard to those who may see runs; to others nothing."""
    # Django imports every library with its first template, in projects without an admin too.
    from django_tasktree.admin.dashboard import TEMPLATE, dashboard_of

    request = context["request"]
    shown = dashboard_of(request)
    return "" if shown is None else render_to_string(TEMPLATE, shown, request)


@register.simple_tag
def tasktree_clock() -> SafeString:
    """Give the attributes from which a script counts durations: the server's time, and the texts."""
    return format_html(
        'data-tasktree-now="{}" data-tasktree-units="{}"',
        times.instant_now().isoformat(),
        json.dumps(duration_texts()),
    )
