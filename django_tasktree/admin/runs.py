"""The admin of runs."""

# ruff: noqa: ARG002  Django's signatures

from typing import Any

from django.contrib import admin
from django.db import connections
from django.db.models import Q, QuerySet, prefetch_related_objects
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from django_tasktree.admin import rendering
from django_tasktree.admin.base import CheckedList, ReadOnlyAdmin
from django_tasktree.admin.filters import DefinitionFilter, LauncherFilter, SubRunFilter
from django_tasktree.admin.local_dates import knows_local_dates
from django_tasktree.admin.pages.compose import ComposePage, EditDraftPage
from django_tasktree.admin.pages.control import bulk_action
from django_tasktree.admin.pages.copy_and_delete import RunControlPage
from django_tasktree.admin.pages.dashboard import DashboardPage
from django_tasktree.admin.pages.launch import LaunchDefinitionPage, LaunchPage, LaunchRowsPage
from django_tasktree.admin.pages.live import Graph, ListLive, RunLive, Timeline, TreeRows
from django_tasktree.admin.pages.run import RunPage
from django_tasktree.control.actions import ACTIONS, run_actions
from django_tasktree.encoding.ids import as_uuid
from django_tasktree.models import NodeRun, TreeRun
from django_tasktree.models.querysets import has_id
from django_tasktree.reporting.node_counts import Look
from django_tasktree.reporting.progress import progress_of_all
from django_tasktree.reporting.progress_bar import progress_bar
from django_tasktree.reporting.static_files import script


class RunList(CheckedList):
    """List that reads the progress of all its runs at once; no date hierarchy if the database lacks the time zones."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        if not knows_local_dates(connections[self.queryset.db]):
            self.date_hierarchy = None

    def get_results(self, request: HttpRequest) -> None:
        """Load the page, with the progress and the launcher of each run."""
        super().get_results(request)
        runs: list[Any] = list(self.result_list)
        prefetch_related_objects(runs, "launched_by")
        progress = progress_of_all(runs, _look(request))
        for run in runs:
            run.listed_progress = progress[run.id]
        # The templates only iterate over it, so a list is enough.
        self.result_list = runs


#: The names of the list and of its updates.
_LISTS = ("django_tasktree_treerun_changelist", "django_tasktree_treerun_list_live")


def _look(request: HttpRequest) -> Look:
    match = request.resolver_match
    return Look.POLL if match and match.url_name == "django_tasktree_treerun_list_live" else Look.PAGE


@admin.register(TreeRun)
class TreeRunAdmin(ReadOnlyAdmin):
    """Admin of runs. The list shows their progress, the page of a run its tree, which is paginated."""

    pages = {
        "dashboard": DashboardPage,
        "launch": LaunchPage,
        "launch_rows": LaunchRowsPage,
        "launch_definition": LaunchDefinitionPage,
        "compose": ComposePage,
        "compose_draft": EditDraftPage,
        "list_live": ListLive,
        "change": RunPage,
        "live": RunLive,
        "rows": TreeRows,
        "graph": Graph,
        "timeline": Timeline,
        "control": RunControlPage,
    }

    class Media:
        """The script of the list, which also updates durations on the page of a run."""

        js = [script("list")]

    actions = [bulk_action(action) for action in run_actions().values()]
    list_display = ["title", "state_badge", "progress", "started", "took", "launcher"]
    list_display_links = ["title"]
    list_filter = ["state", SubRunFilter, DefinitionFilter, LauncherFilter, "created_at"]
    search_fields = ["name", "key"]
    search_help_text = _("Name, key, or the whole ID of a run, a node or a task")
    date_hierarchy = "created_at"
    # The page has its own template, which shows everything. Otherwise Django would make a form field for each column.
    fields = ["name"]

    def has_view_nodes_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return whether the user may see the nodes of a run, which have pages. A hook, like Django's own."""
        return self.admin_site.is_registered(NodeRun) and request.user.has_perm("django_tasktree.view_noderun")

    def has_view_workers_permission(self, request: HttpRequest) -> bool:
        """Return whether the user may see workers. A hook, like Django's own."""
        return request.user.has_perm("django_tasktree.view_worker")

    def has_launch_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return whether the user may launch trees. A hook, like Django's own."""
        return request.user.has_perm("django_tasktree.launch_treerun")

    def has_compose_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return whether the user may write drafts, with any of the project's tasks. A hook, like Django's own."""
        return request.user.has_perm("django_tasktree.compose_treerun")

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return whether the user may delete runs."""
        return request.user.has_perm("django_tasktree.delete_treerun")

    def delete_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        """Redirect to the confirmation page of this app."""
        return HttpResponseRedirect(self.address("control", self.key_of(object_id), ACTIONS["delete"].name))

    def get_queryset(self, request: HttpRequest) -> QuerySet[TreeRun]:
        """Return the runs, for the list without their results, which may be long."""
        runs: QuerySet[TreeRun] = super().get_queryset(request)
        match = request.resolver_match
        return runs.defer("returns") if match and match.url_name in _LISTS else runs

    def title_of(self, row: Any) -> str:
        """Return the title of a run."""
        return rendering.run_title(row)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[RunList]:
        """Return the class of the list, which loads the progress of all runs at once."""
        return RunList

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> tuple[Any, bool]:
        """Search by ID of a run, node or task if the term is a UUID, otherwise by name and launch key."""
        run_id = as_uuid(search_term)
        if run_id is not None:
            nodes = NodeRun.objects.filter(has_id(run_id)).values_list("run_id", flat=True)
            # A launch key may look like a UUID, too.
            return queryset.filter(Q(id=run_id) | Q(key=search_term.strip()) | Q(id__in=list(nodes[:1]))), False
        return super().get_search_results(request, queryset, search_term)

    @admin.display(description=_("run"), ordering="name")
    def title(self, run: TreeRun) -> SafeString | str:
        """Show the title of the run, and whether it is a sub-run."""
        title = rendering.run_title(run)
        if not run.is_sub_run:
            return title
        return format_html('{} <span class="tasktree-tag">{}</span>', title, _("sub-run"))

    @admin.display(description=_("state"), ordering="state")
    def state_badge(self, run: TreeRun) -> SafeString:
        """Show the state."""
        return rendering.run_badge(run)

    @admin.display(description=_("progress"))
    def progress(self, run: Any) -> SafeString:
        """Show the progress, which the list has loaded."""
        return progress_bar(run.listed_progress)

    @admin.display(description=_("started"), ordering="started_at")
    def started(self, run: TreeRun) -> SafeString | str:
        """Show the start time."""
        return rendering.moment(run.started_at)

    @admin.display(description=_("duration"))
    def took(self, run: TreeRun) -> SafeString | str:
        """Show the duration."""
        return rendering.lasting(run)

    @admin.display(description=_("launched by"), ordering="launched_by_id", empty_value="-")
    def launcher(self, run: TreeRun) -> Any:
        """Show the user who launched it. The list has loaded them, without a join: users may be in another database."""
        return run.launched_by

    def cells_of(self, run: Any) -> dict[str, Any]:
        """Return the HTML of those cells of a run that change in an open list, by column name."""
        return {
            "state_badge": self.state_badge(run),
            "progress": self.progress(run),
            "started": self.started(run),
            "took": rendering.lasting(run, text=False),
        }

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Show the list, with buttons to launch and to compose trees."""
        return super().changelist_view(
            request,
            {
                "may_launch": self.has_launch_permission(request),
                "may_compose": self.has_compose_permission(request),
                **(extra_context or {}),
            },
        )
