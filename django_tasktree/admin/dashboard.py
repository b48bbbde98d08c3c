"""The dashboard: how runs, nodes, tasks and workers are doing. It stands on the app's index page, up to date."""

from typing import Any

from django.contrib.admin.sites import AdminSite, all_sites
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.loader import render_to_string
from django.urls import URLPattern, path
from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from django_tasktree import figures, times
from django_tasktree.admin.charts import hours_chart
from django_tasktree.admin.live import LivePages
from django_tasktree.admin.rendering import badge, duration, moment, run_title
from django_tasktree.conditional import conditional
from django_tasktree.figures import Hour, TaskNumbers, Window
from django_tasktree.models import TreeRun
from django_tasktree.number_texts import number_text
from django_tasktree.states import NodeState, RunState
from django_tasktree.text import short_name
from django_tasktree.worker_list import listed_workers

TEMPLATE = "admin/django_tasktree/includes/dashboard.html"


class DashboardPage(LivePages):
    """Adds what the page asks for to the admin of runs."""

    def get_urls(self) -> list[URLPattern]:
        """Put it before the pages of single runs, which take any path."""
        view = self.admin_site.admin_view(self.dashboard_view, cacheable=True)
        return [path("dashboard/", view, name="django_tasktree_treerun_dashboard"), *super().get_urls()]

    def dashboard_view(self, request: HttpRequest) -> HttpResponse:
        """The dashboard as it is now."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        html = render_to_string(TEMPLATE, self.dashboard_context(request), request)
        return conditional(request, JsonResponse({"html": html}))

    def has_view_workers_permission(self, request: HttpRequest) -> bool:
        """Tell whether the user may see workers; a hook, like Django's own."""
        return request.user.has_perm("django_tasktree.view_worker")

    def dashboard_context(self, request: HttpRequest) -> dict[str, Any]:
        """What the user may see of it."""
        request.current_app = self.admin_site.name
        window = Window.until(times.now())
        context = {
            "hours": figures.HOURS,
            "run_states": _states(figures.open_runs(), RunState),
            "runs": _chart(figures.runs_per_hour(window), RunState),
        }
        if self.has_view_nodes_permission(request):
            context |= self._nodes(window)
        if self.has_view_workers_permission(request):
            context |= {"sees_workers": True, "workers": [_worker(each) for each in listed_workers()]}
        return context

    def _nodes(self, window: Window) -> dict[str, Any]:
        tasks = figures.task_numbers(window)
        return {
            "sees_nodes": True,
            "most_nodes": number_text(figures.MOST_NODES) if window.is_cut else "",
            "node_states": _states(figures.open_nodes(), NodeState),
            "nodes": _chart(figures.nodes_per_hour(window), NodeState),
            "waiting": [_waiting(node) for node in figures.longest_waiting()],
            "slowest": [_task(each) for each in figures.slowest(tasks)],
            "failing": [_task(each) for each in figures.most_failing(tasks)],
        }


def dashboard_of(request: HttpRequest) -> dict[str, Any] | None:
    """Give what the app's index page shows, to those who may see runs."""
    site = _site_of(request)
    runs: Any = site.get_model_admin(TreeRun) if site.is_registered(TreeRun) else None
    if not isinstance(runs, DashboardPage) or not runs.has_view_permission(request):
        return None
    return runs.dashboard_context(request)


def _site_of(request: HttpRequest) -> AdminSite:
    return next(site for site in all_sites if site.name == request.current_app)


def _states(counts: dict[str, int], states: Any) -> list[dict[str, Any]]:
    return [
        {"state": state, "badge": badge(state, state.label), "number": number_text(counts[state])}
        for state in states
        if state in counts
    ]


def _chart(hours: list[Hour], states: Any) -> dict[str, Any]:
    total = sum(hour.total for hour in hours)
    failed = sum(hour.by_state.get("FAILURE", 0) for hour in hours)
    text = ngettext("%(number)s ended", "%(number)s ended", total) % {"number": number_text(total)}
    if failed:
        text = _("%(ended)s, %(failed)s of them failed") % {"ended": text, "failed": number_text(failed)}
    labels = {state.value: state.label for state in states}
    return {"text": text, "svg": hours_chart(hours, text, labels) if total else ""}


def _task(numbers: TaskNumbers) -> dict[str, Any]:
    return {
        "task": numbers.task,
        "name": short_name(numbers.task),
        "ended": number_text(numbers.ended),
        "failed": number_text(numbers.failed),
        "percent": number_format(round(numbers.failed_percent, 1), 1) if numbers.failed else "",
        "mean": duration(numbers.mean),
        "longest": duration(numbers.longest),
    }


def _waiting(node: Any) -> dict[str, Any]:
    since = figures.waits_since(node)
    return {
        "node": node,
        "name": short_name(node.task),
        "run": run_title(node.run),
        "since": moment(since),
        "waited": duration(times.elapsed(since)),
    }


def _worker(listed: Any) -> dict[str, Any]:
    state, label = ("success", _("alive")) if listed.is_alive else ("failure", _("lost"))
    return {
        "row": listed.row,
        "badge": badge(state, label),
        "running": listed.running,
        "silent": duration(listed.silent_for),
        "started": moment(listed.row.started_at),
    }
