"""The dashboard with the state of runs, nodes, tasks and workers, which the app's index page shows."""

from typing import Any

from django.template.loader import render_to_string
from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from django_tasktree.admin.pages.charts import hours_chart
from django_tasktree.admin.pages.live import LiveAnswer
from django_tasktree.admin.rendering import badge, duration, growing, moment, run_title
from django_tasktree.encoding import times
from django_tasktree.encoding.text import short_name
from django_tasktree.reporting import statistics
from django_tasktree.reporting.node_paths import titles_of
from django_tasktree.reporting.numbers import number_text
from django_tasktree.reporting.statistics import Hour, TaskNumbers, Window
from django_tasktree.reporting.waits import MAX_WAITS, count_open_waits
from django_tasktree.reporting.workers import listed_workers
from django_tasktree.states import NodeState, RunState


class DashboardPage(LiveAnswer):
    """The current dashboard. The app's index page shows it, and requests it again while the page is open."""

    route = "dashboard/"
    template_name = "admin/django_tasktree/includes/dashboard.html"

    def get_content(self) -> dict[str, Any]:
        """Return the dashboard as HTML."""
        return {"html": self.html(text=False)}

    def html(self, *, text: bool = True) -> str:
        """Return the HTML.

        Args:
            text: whether durations include their text while the browser updates them; see :func:`rendering.lasting`.
        """
        return render_to_string(self.template_name, self.get_context_data(text=text), self.request)

    def get_context_data(self, *, text: bool) -> dict[str, Any]:
        """Return the context of the template, limited to what the user may see."""
        window = Window.until(times.now())
        context = {
            "hours": statistics.HOURS,
            "run_states": _states(statistics.open_runs(), RunState),
            "runs": _chart(statistics.runs_per_hour(window), RunState),
        }
        if self.model_admin.has_view_nodes_permission(self.request):
            context |= self._nodes(window, text)
        if self.model_admin.has_view_workers_permission(self.request):
            context |= {"sees_workers": True, "workers": [_worker(each, text) for each in listed_workers()]}
        return context

    def _nodes(self, window: Window, text: bool) -> dict[str, Any]:
        tasks = statistics.task_numbers(window)
        waiting = statistics.longest_waiting()
        titles = titles_of(waiting)
        return {
            "sees_nodes": True,
            "most_nodes": number_text(statistics.MAX_NODES) if window.is_cut else "",
            "node_states": _states(statistics.open_nodes(), NodeState),
            "nodes": _chart(statistics.nodes_per_hour(window), NodeState),
            "open_waits": _number_of_waits(count_open_waits()),
            "waiting": [_waiting(node, titles[node.id], text) for node in waiting],
            "slowest": [_task(each) for each in statistics.slowest(tasks)],
            "failing": [_task(each) for each in statistics.most_failing(tasks)],
        }


def _states(counts: dict[str, int], states: Any) -> list[dict[str, Any]]:
    return [
        {"state": state, "badge": badge(state, state.label), "number": _number(counts[state])}
        for state in states
        if state in counts
    ]


def _number(number: int) -> str:
    return number_text(number) if number <= statistics.MAX_NODES else f"{number_text(statistics.MAX_NODES)}+"


def _number_of_waits(number: int) -> str:
    return f"{number_text(number)}+" if number == MAX_WAITS else number_text(number) if number else ""


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


def _waiting(node: Any, title: str, text: bool) -> dict[str, Any]:
    since = statistics.waits_since(node)
    return {
        "node": node,
        "name": title,
        "run": run_title(node.run),
        "since": moment(since),
        "waited": growing(since, times.elapsed(since), text=text),
    }


def _worker(listed: Any, text: bool) -> dict[str, Any]:
    state, label = ("success", _("alive")) if listed.is_alive else ("failure", _("lost"))
    return {
        "row": listed.row,
        "badge": badge(state, label),
        "running": listed.running,
        "silent": growing(listed.row.last_seen, listed.silent_for, text=text),
        "started": moment(listed.row.started_at),
    }
