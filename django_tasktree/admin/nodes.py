"""The admin of nodes."""

from collections.abc import Iterable
from typing import Any

from django.contrib import admin
from django.db.models import Prefetch, Q, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from django_tasktree.admin import rendering
from django_tasktree.admin.addresses import page_address
from django_tasktree.admin.base import CheckedList, ReadOnlyAdmin
from django_tasktree.admin.filters import RunFilter
from django_tasktree.admin.pages.base import may_view
from django_tasktree.admin.pages.control import ControlPage, bulk_action
from django_tasktree.admin.pages.node import NodePage
from django_tasktree.admin.pages.waiting import WaitingPage
from django_tasktree.control.actions import node_actions
from django_tasktree.encoding.ids import as_uuid
from django_tasktree.models import NodeRun, TreeRun
from django_tasktree.models.querysets import has_id
from django_tasktree.reporting.node_paths import titles_of

#: Columns that may be long and that no list shows.
_LONG = ("template", "args", "kwargs", "options", "result", "error_message", "error_args", "traceback")


class NodeList(CheckedList):
    """List that reads the paths of all its nodes at once."""

    model_admin: "NodeRunAdmin"

    def get_results(self, request: HttpRequest) -> None:
        """Load the page, with the title of each node."""
        super().get_results(request)
        nodes: list[Any] = list(self.result_list)
        titles = self.model_admin.titles_of(nodes)
        for node in nodes:
            node.listed_title = titles[node.pk]
        # The templates only iterate over it, so a list is enough.
        self.result_list = nodes


@admin.register(NodeRun)
class NodeRunAdmin(ReadOnlyAdmin):
    """Admin of nodes, of which there may be millions. The page of a node shows all columns of its row."""

    pages = {"change": NodePage, "control": ControlPage, "waiting": WaitingPage}
    actions = [bulk_action(action) for action in node_actions().values()]
    list_display = ["name", "state_badge", "run_link", "started", "took", "worker_name", "attempts"]
    list_display_links = ["name"]
    list_filter = ["state", RunFilter]
    search_fields = ["task", "label"]
    search_help_text = _("Part of a task's name or of a label, or the whole ID of a node, a task or a run")
    # IDs are in chronological order, and the primary key has an index.
    ordering = ["-id"]
    sortable_by = ()
    # Facets would count the whole table for each choice.
    show_facets = admin.ShowFacets.NEVER
    # The page has its own template, which shows all columns.
    fields = ["task"]

    def title_of(self, row: Any) -> str:
        """Return the title of a node: its label, or the last part of its task's name."""
        return str(row.title)

    def titles_of(self, rows: Iterable[Any]) -> dict[Any, str]:
        """Return the titles of nodes by their IDs: their paths, if they have some; in one query."""
        return titles_of(rows)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[NodeList]:  # noqa: ARG002  Django's signature
        """Return the class of the list, which loads the paths of all nodes at once."""
        return NodeList

    def get_queryset(self, request: HttpRequest) -> QuerySet[NodeRun]:
        """Return the nodes with their runs; for the list without long columns, for other pages with the parent."""
        nodes: QuerySet[NodeRun] = super().get_queryset(request)
        if request.resolver_match and request.resolver_match.url_name == "django_tasktree_noderun_changelist":
            if any(name.startswith("state") for name in request.GET):
                # Without the join, databases would rather read all nodes by ID than find those in a state.
                return nodes.select_related("run").defer(*_LONG, "run__params", "run__returns")
            # With the join, MariaDB would sort all nodes, and SQLite those of the run.
            return nodes.defer(*_LONG).prefetch_related(Prefetch("run", TreeRun.objects.defer("params", "returns")))
        return nodes.select_related("run", "parent")

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> tuple[Any, bool]:
        """Search by ID of a node, task or run if the term is a UUID, otherwise by name of the task or label."""
        key = as_uuid(search_term)
        if key is not None:
            return queryset.filter(has_id(key) | Q(run_id=key)), False
        return super().get_search_results(request, queryset, search_term)

    @admin.display(description=_("task"))
    def name(self, node: Any) -> SafeString:
        """Show the path, or the task's name without the module; the tooltip is the full name of the task."""
        return format_html('<span title="{}">{}</span>', node.task, node.listed_title)

    @admin.display(description=_("state"))
    def state_badge(self, node: NodeRun) -> SafeString:
        """Show the state."""
        return rendering.node_badge(node, node.run)

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        """Return the columns, with links to runs only if the user may see runs."""
        linked = may_view(self.admin_site, request, TreeRun)
        return [name if linked or name != "run_link" else "run_name" for name in self.list_display]

    @admin.display(description=_("run"))
    def run_name(self, node: NodeRun) -> SafeString:
        """Show the title of the run."""
        title = rendering.run_title(node.run)
        return format_html('<span class="tasktree-clip" title="{}">{}</span>', title, title)

    @admin.display(description=_("run"))
    def run_link(self, node: NodeRun) -> SafeString:
        """Show the title of the run as a link to its page."""
        page = page_address(self.admin_site.name, "treerun_change", node.run_id)
        title = rendering.run_title(node.run)
        return format_html('<a class="tasktree-clip" href="{}" title="{}">{}</a>', page, title, title)

    @admin.display(description=_("worker"))
    def worker_name(self, node: NodeRun) -> SafeString | str:
        """Show the name of the worker; CSS shortens long names."""
        if not node.worker:
            return rendering.EMPTY
        return format_html('<span class="tasktree-clip" title="{}">{}</span>', node.worker, node.worker)

    @admin.display(description=_("started"))
    def started(self, node: NodeRun) -> SafeString | str:
        """Show the start time of the last attempt."""
        return rendering.moment(node.started_at)

    @admin.display(description=_("duration"))
    def took(self, node: NodeRun) -> str:
        """Show the duration of the last attempt."""
        return rendering.duration(node.duration)
