"""The pages of runs."""

# ruff: noqa: ARG002  Django's signatures

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Q
from django.forms.widgets import Script
from django.http import Http404, HttpRequest, HttpResponse
from django.templatetags.static import static
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from django_tasktree.admin import rendering
from django_tasktree.admin.compose import ComposePages
from django_tasktree.admin.control import bulk_action
from django_tasktree.admin.copy_and_delete import COPY, DELETE, CopyAndDelete
from django_tasktree.admin.dashboard import DashboardPage
from django_tasktree.admin.failed_nodes import first_failures
from django_tasktree.admin.filters import DefinitionFilter, LauncherFilter
from django_tasktree.admin.history import history_of
from django_tasktree.admin.read_only import ReadOnlyAdmin
from django_tasktree.admin.run_list import RunList
from django_tasktree.admin.tree_page import TreePage, parent_of, tree_page
from django_tasktree.admin.tree_search import NOT_REACHED, TreeSearch, found_page, states_to_choose
from django_tasktree.identifiers import as_uuid
from django_tasktree.models import NodeRun, TreeRun
from django_tasktree.number_texts import whole_number
from django_tasktree.progress import recent_progress_of
from django_tasktree.progress_bar import progress_bar
from django_tasktree.states import NodeState
from django_tasktree.text import readable_json
from django_tasktree.verbs import Verb, fitting_run, verbs_of_runs

#: The scripts of the page of a run, in this order.
_SCRIPTS = ("svg", "poll", "morph", "tick", "tabs", "tree", "graph", "timeline", "run")


@admin.register(TreeRun)
class TreeRunAdmin(ComposePages, DashboardPage, CopyAndDelete, ReadOnlyAdmin):
    """Lists runs with their progress; the page of one shows its tree, a page at a time."""

    class Media:
        """The scripts of the list."""

        js = [Script(f"django_tasktree/{name}.js", defer=True) for name in ("poll", "morph", "tick", "list")]

    actions = [bulk_action(verb) for verb in (*verbs_of_runs(), COPY, DELETE)]
    list_display = ["title", "state_badge", "progress", "started", "took", "launcher"]
    list_display_links = ["title"]
    list_filter = ["state", DefinitionFilter, LauncherFilter, "created_at"]
    search_fields = ["name", "key"]
    search_help_text = _("Name, key, or the whole ID of a run, a node or a task")
    date_hierarchy = "created_at"
    # The page has a template of its own, which shows all; the stock one would build a form for each field.
    fields = ["name"]

    def verbs_for(self, row: Any) -> list[Verb]:
        """The verbs that are worth being offered."""
        return [*fitting_run(row), *(verb for verb in (COPY, DELETE) if verb.may_fit_run and verb.may_fit_run(row))]

    def title_of(self, row: Any) -> str:
        """Name a run."""
        return rendering.run_title(row)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[RunList]:
        """Load the progress of the whole page at once."""
        return RunList

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> tuple[Any, bool]:
        """Search by key where the term is one."""
        run_id = as_uuid(search_term)
        if run_id is not None:
            nodes = NodeRun.objects.filter(Q(id=run_id) | Q(task_id=run_id)).values_list("run_id", flat=True)
            # A key that was given to a launch may look like an ID.
            return queryset.filter(Q(id=run_id) | Q(key=search_term.strip()) | Q(id__in=list(nodes[:1]))), False
        return super().get_search_results(request, queryset, search_term)

    @admin.display(description=_("run"), ordering="name")
    def title(self, run: TreeRun) -> str:
        """Name the run."""
        return rendering.run_title(run)

    @admin.display(description=_("state"), ordering="state")
    def state_badge(self, run: TreeRun) -> SafeString:
        """Show its state."""
        return rendering.run_badge(run)

    @admin.display(description=_("progress"))
    def progress(self, run: Any) -> SafeString:
        """Show its progress, which the list has loaded."""
        return progress_bar(run.listed_progress)

    @admin.display(description=_("started"), ordering="started_at")
    def started(self, run: TreeRun) -> SafeString | str:
        """Show when it started."""
        return rendering.moment(run.started_at)

    @admin.display(description=_("duration"))
    def took(self, run: TreeRun) -> SafeString | str:
        """Show how long it took."""
        return rendering.lasting(run)

    @admin.display(description=_("launched by"), ordering="launched_by_id", empty_value="-")
    def launcher(self, run: TreeRun) -> Any:
        """Show who launched it, whom the list has loaded: users may be in another database."""
        return run.launched_by

    def cells_of(self, run: Any) -> dict[str, Any]:
        """What the cells of a run in the list show that change, by the names of the columns."""
        return {
            "state_badge": self.state_badge(run),
            "progress": self.progress(run),
            "started": self.started(run),
            "took": rendering.lasting(run, text=False),
        }

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Add the button that launches."""
        return super().changelist_view(
            request,
            {
                "may_launch": self.has_launch_permission(request),
                "may_compose": self.has_compose_permission(request),
                **(extra_context or {}),
            },
        )

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> Any:
        """Add what the page of a run shows."""
        run: TreeRun | None = kwargs.get("obj")
        if run is None:
            raise PermissionDenied
        request.current_app = self.admin_site.name
        context.update(self.live_context(request, run))
        if context["may_see_nodes"]:
            context["tree"] = self._tree(request, run)
            context.update(self._search(request, run))
            context["scripts"] = [static(f"django_tasktree/{name}.js") for name in _SCRIPTS]
            context["state_labels"] = [(state.lower(), NodeState(state).label) for state in NodeState.values]
        return super().render_change_form(request, context, *args, **kwargs)

    def live_context(self, request: HttpRequest, run: TreeRun, *, look: bool = False) -> dict[str, Any]:
        """What the part of the page that changes shows; ``look`` without what the browser counts itself."""
        may_see_nodes = self.has_view_nodes_permission(request, run)
        return {
            **self._summary(run, look),
            "buttons": [*self.buttons(request, run), *self.compose_buttons(request, run)],
            "history": history_of(run),
            "may_see_nodes": may_see_nodes,
            "failures": first_failures(run, self.admin_site.name) if may_see_nodes else [],
        }

    def _summary(self, run: TreeRun, look: bool) -> dict[str, Any]:
        progress = recent_progress_of(run)
        labels = {"unreached": _("not reached")} if run.is_over else {}
        return {
            "subtitle": rendering.run_title(run),
            "run": run,
            "badge": rendering.run_badge(run),
            "bar": progress_bar(progress),
            "counts": [_count(state, progress.by_state, labels) for state in NodeState if progress.by_state.get(state)],
            "times": [
                (_("created"), rendering.moment(run.created_at)),
                *([(_("due"), rendering.moment(run.eta))] if run.eta else []),
                *([(_("deadline"), rendering.moment(run.deadline))] if run.deadline else []),
                (_("started"), rendering.moment(run.started_at)),
                (_("finished"), rendering.moment(run.finished_at)),
                (_("duration"), rendering.lasting(run, text=not look)),
            ],
            "params": readable_json(run.params, indent=2) if run.params else "",
        }

    def _search(self, request: HttpRequest, run: TreeRun) -> dict[str, Any]:
        """Look for the nodes that the address asks for; nothing where it asks for none."""
        search = TreeSearch.of(request.GET)
        chosen = [
            (state, _("not reached") if state == NOT_REACHED else NodeState(state).label)
            for state in states_to_choose(run)
        ]
        found = found_page(run, search, self.admin_site.name) if search else None
        return {"search": search, "found": found, "states_to_choose": chosen}

    def _tree(self, request: HttpRequest, run: TreeRun) -> TreePage:
        """Read the page of the tree that the address asks for.

        Raises:
            Http404: the run has no such node.
        """
        parent, number = None, request.GET.get("page", "1")
        if "parent" in request.GET:
            node_id = as_uuid(request.GET["parent"])
            parent = parent_of(run, node_id) if node_id else None
            if parent is None:
                raise Http404(f"run {run.id} has no node {request.GET['parent']!r}")
        return tree_page(run, parent, whole_number(number) or 1)


def _count(state: NodeState, by_state: dict[str, int], labels: dict[str, Any]) -> dict[str, Any]:
    """Count the nodes in a state; those that wait when the run is over were not reached."""
    if state == NodeState.PENDING and labels:
        return {"state": state, "badge": rendering.badge("unreached", labels["unreached"]), "number": by_state[state]}
    return {"state": state, "badge": rendering.badge(state, state.label), "number": by_state[state]}
