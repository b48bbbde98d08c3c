"""The dashboard on the app's index page."""

from django.contrib.admin.sites import AdminSite, all_sites
from django.http import HttpRequest

from django_tasktree.admin.base import ReadOnlyAdmin
from django_tasktree.admin.pages.dashboard import DashboardPage
from django_tasktree.models import TreeRun


def dashboard_html(request: HttpRequest) -> str:
    """Return the HTML of the dashboard, or an empty string if the user may not see runs."""
    site = _site_of(request)
    runs = site.get_model_admin(TreeRun) if site.is_registered(TreeRun) else None
    if not isinstance(runs, ReadOnlyAdmin) or not runs.has_view_permission(request):
        return ""
    return runs.page("dashboard", DashboardPage, request).html()


def _site_of(request: HttpRequest) -> AdminSite:
    return next(site for site in all_sites if site.name == request.current_app)
