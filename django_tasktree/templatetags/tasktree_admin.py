"""``{% load tasktree_admin %}``: for the app's own pages of the admin."""

from typing import Any

from django import template
from django.template.loader import render_to_string

register = template.Library()


@register.simple_tag(takes_context=True)
def tasktree_dashboard(context: Any) -> str:
    """Show the dashboard to those who may see runs; to others nothing."""
    # Django imports every library with its first template, in projects without an admin too.
    from django_tasktree.admin.dashboard import TEMPLATE, dashboard_of

    request = context["request"]
    shown = dashboard_of(request)
    return "" if shown is None else render_to_string(TEMPLATE, shown, request)
