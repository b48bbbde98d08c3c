"""The page of a run."""

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from django.http import Http404
from django.utils.translation import gettext_lazy as _

from django_tasktree.admin.pages.answers import with_answers
from django_tasktree.admin.pages.base import RowPage, may_view
from django_tasktree.admin.pages.compose import compose_buttons
from django_tasktree.admin.pages.control import ControlPage
from django_tasktree.admin.panels.history import history_of
from django_tasktree.admin.panels.node_values import result_of_run
from django_tasktree.admin.panels.run_summary import run_summary
from django_tasktree.admin.panels.sub_runs import started_by
from django_tasktree.admin.tree.failures import first_failures
from django_tasktree.admin.tree.page import TreePage, parent_of, tree_page
from django_tasktree.admin.tree.search import NOT_REACHED, TreeSearch, found_page, states_to_choose
from django_tasktree.encoding.ids import as_uuid
from django_tasktree.models import RunEvent, TreeRun
from django_tasktree.reporting.node_counts import Look
from django_tasktree.reporting.numbers import whole_number
from django_tasktree.states import NodeState

if TYPE_CHECKING:
    from django_tasktree.admin.runs import TreeRunAdmin


class RunPage(RowPage):
    """The page of a run: its state, its first errors, its tree and its history."""

    model_admin: "TreeRunAdmin"
    row: TreeRun

    def get_context_data(self) -> dict[str, Any]:
        """Return the context of the template."""
        context = self.live_context()
        if context["may_see_nodes"]:
            labels = [(state.lower(), NodeState(state).label) for state in NodeState.values]
            context.update(
                tree=self._tree(),
                **self._search(),
                state_labels=[*labels, ("unreached", _("not reached"))],
            )
        return context

    def live_context(self, look: Look = Look.PAGE, *, text: bool = True) -> dict[str, Any]:
        """Return the context of the part of the page that live updates replace.

        Args:
            look: how much may be counted.
            text: whether durations include their text while the browser updates them; see :func:`rendering.lasting`.
        """
        run, request, admin = self.row, self.request, self.model_admin
        control = admin.page("control", ControlPage, request, run)
        may_see_nodes = admin.has_view_nodes_permission(request, run)
        return {
            **run_summary(run, look, text=text),
            "buttons": [*control.buttons(request, run), *compose_buttons(admin, request, run)],
            "started_by": started_by(run, admin.admin_site.name, partial(may_view, admin.admin_site, request)),
            "history": history_of(run, shows_nodes=may_see_nodes),
            "may_see_nodes": may_see_nodes,
            "may_see_events": may_view(admin.admin_site, request, RunEvent),
            "failures": first_failures(run, admin.admin_site.name) if may_see_nodes else [],
            "value": result_of_run(run) if may_see_nodes else None,
        }

    def _tree(self) -> TreePage:
        """Return the page of the tree that the URL names.

        Raises:
            Http404: the run has no such node.
        """
        run, query = self.row, self.request.GET
        parent, number = None, query.get("page", "1")
        if "parent" in query:
            node_id = as_uuid(query["parent"])
            parent = parent_of(run, node_id) if node_id else None
            if parent is None:
                raise Http404(f"run {run.id} has no node {query['parent']!r}")
        page = tree_page(run, parent, whole_number(number) or 1)
        return replace(page, rows=with_answers(page.rows, self.model_admin.admin_site, self.request))

    def _search(self) -> dict[str, Any]:
        """Return the context of the search, with results if the URL has search terms."""
        run, search = self.row, TreeSearch.of(self.request.GET)
        chosen = [
            (state, _("not reached") if state == NOT_REACHED else NodeState(state).label)
            for state in states_to_choose(run)
        ]
        site = self.model_admin.admin_site
        found = found_page(run, search, site.name) if search else None
        if found is not None:
            found = replace(found, rows=with_answers(found.rows, site, self.request))
        return {"search": search, "found": found, "states_to_choose": chosen}
