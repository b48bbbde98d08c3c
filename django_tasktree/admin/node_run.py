"""The pages of nodes."""

from typing import Any
from uuid import UUID

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from django_tasktree.admin import rendering
from django_tasktree.admin.attempts import attempts_of
from django_tasktree.admin.control import ControlPages, bulk_action
from django_tasktree.admin.filters import RunFilter
from django_tasktree.admin.history import history_of
from django_tasktree.admin.read_only import ReadOnlyAdmin
from django_tasktree.admin.stored_values import StoredValue, referred_to
from django_tasktree.admin.tree_page import place_in_tree, tree_page
from django_tasktree.admin.waiting_for import waiting_for
from django_tasktree.identifiers import as_uuid
from django_tasktree.models import NodeRun
from django_tasktree.text import short_name
from django_tasktree.verbs import Verb, fitting_node, verbs_of_nodes

#: So many nodes to which arguments refer are looked up.
_MOST_NAMES = 100
#: What may be long; no list needs it.
_LONG = ("args", "kwargs", "options", "result", "error_message", "error_args", "traceback", "run__params")


@admin.register(NodeRun)
class NodeRunAdmin(ControlPages, ReadOnlyAdmin):
    """Lists nodes, of which there may be millions; the page of one shows all that its row holds."""

    actions = [bulk_action(verb) for verb in verbs_of_nodes()]
    list_display = ["name", "state_badge", "run_link", "started", "took", "worker_name", "attempts"]
    list_display_links = ["name"]
    list_filter = ["state", RunFilter]
    list_select_related = ["run"]
    search_fields = ["task"]
    search_help_text = _("Part of a task's name, or the whole ID of a node, a task or a run")
    # IDs are in the order of time, and their index is there anyway.
    ordering = ["-id"]
    sortable_by = ()
    # The numbers beside each choice would count the whole table.
    show_facets = admin.ShowFacets.NEVER
    # The page has a template of its own, which shows all.
    fields = ["task"]

    def verbs_for(self, row: Any) -> list[Verb]:
        """The verbs that are worth being offered."""
        return fitting_node(row, row.run)

    def title_of(self, row: Any) -> str:
        """Name a node."""
        return short_name(row.task)

    def get_queryset(self, request: HttpRequest) -> QuerySet[NodeRun]:
        """Leave long columns out of the list."""
        nodes: QuerySet[NodeRun] = super().get_queryset(request)
        if request.resolver_match and request.resolver_match.url_name == "django_tasktree_noderun_changelist":
            return nodes.select_related("run").defer(*_LONG)
        return nodes.select_related("run", "parent")

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> tuple[Any, bool]:
        """Search by key where the term is one."""
        key = as_uuid(search_term)
        if key is not None:
            return queryset.filter(Q(id=key) | Q(task_id=key) | Q(run_id=key)), False
        return super().get_search_results(request, queryset, search_term)

    @admin.display(description=_("task"))
    def name(self, node: NodeRun) -> SafeString:
        """Name its task without the module; the whole name is at hand."""
        return format_html('<span title="{}">{}</span>', node.task, self.title_of(node))

    @admin.display(description=_("state"))
    def state_badge(self, node: NodeRun) -> SafeString:
        """Show its state."""
        return rendering.node_badge(node, node.run)

    @admin.display(description=_("run"))
    def run_link(self, node: NodeRun) -> SafeString:
        """Link its run."""
        page = reverse("admin:django_tasktree_treerun_change", args=[node.run_id], current_app=self.admin_site.name)
        title = rendering.run_title(node.run)
        return format_html('<a class="tasktree-clip" href="{}" title="{}">{}</a>', page, title, title)

    @admin.display(description=_("worker"))
    def worker_name(self, node: NodeRun) -> SafeString | str:
        """Name its worker; long names are cut."""
        if not node.worker:
            return rendering.EMPTY
        return format_html('<span class="tasktree-clip" title="{}">{}</span>', node.worker, node.worker)

    @admin.display(description=_("started"))
    def started(self, node: NodeRun) -> SafeString | str:
        """Show when its last attempt started."""
        return rendering.moment(node.started_at)

    @admin.display(description=_("duration"))
    def took(self, node: NodeRun) -> str:
        """Show how long its last attempt took."""
        return rendering.duration(node.duration)

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> Any:
        """Add what the page of a node shows."""
        node: NodeRun | None = kwargs.get("obj")
        if node is None:
            raise PermissionDenied
        request.current_app = self.admin_site.name
        context.update(
            node=node,
            run=node.run,
            run_title=rendering.run_title(node.run),
            place=place_in_tree(node, self.admin_site.name),
            waits_for=waiting_for(node, self.admin_site.name),
            badge=rendering.node_badge(node, node.run),
            buttons=self.buttons(request, node),
            history=history_of(node.run, node),
            times=_times(node),
            values=_values(node),
            attempts=attempts_of(node, request, self.admin_site),
            tree=tree_page(node.run, node) if node.child_count else None,
        )
        return super().render_change_form(request, context, *args, **kwargs)


def _times(node: NodeRun) -> list[tuple[Any, Any]]:
    times = [(_("queued"), node.queued_at), (_("started"), node.started_at), (_("finished"), node.finished_at)]
    if node.eta is not None:
        times.insert(0, (_("due"), node.eta))
    shown: list[tuple[Any, Any]] = [(label, rendering.moment(value)) for label, value in times]
    return [*shown, (_("duration"), rendering.duration(node.duration))]


def _values(node: NodeRun) -> list[tuple[Any, StoredValue]]:
    """Read what is stored, without what is empty."""
    texts = [
        (_("Result"), node.result),
        (_("Arguments"), node.args),
        (_("Keyword arguments"), node.kwargs),
        (_("Message options"), node.options),
    ]
    names = _names_of(node) if node.has_references else {}
    return [(label, StoredValue.of(text, names)) for label, text in texts if text not in (None, "", "[]", "{}")]


def _names_of(node: NodeRun) -> dict[UUID, str]:
    """Name the nodes to which a node's arguments refer; of very many only the first."""
    keys = sorted(referred_to(node.args) | referred_to(node.kwargs))[:_MOST_NAMES]
    tasks = NodeRun.objects.filter(id__in=keys).values_list("id", "task")
    return {node.run_id: "run", **{key: short_name(task) for key, task in tasks}}
