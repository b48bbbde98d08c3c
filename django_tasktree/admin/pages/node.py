"""The page of a node."""

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from django.utils.translation import gettext_lazy as _

from django_tasktree.admin import rendering
from django_tasktree.admin.pages.answers import with_answers
from django_tasktree.admin.pages.base import RowPage, may_view
from django_tasktree.admin.pages.control import ControlPage
from django_tasktree.admin.panels.attempts import attempts_of
from django_tasktree.admin.panels.history import history_of
from django_tasktree.admin.panels.node_values import values_of
from django_tasktree.admin.panels.sub_runs import sub_run_of
from django_tasktree.admin.panels.waiting_for import waiting_for
from django_tasktree.admin.tree.page import TreePage, place_in_tree, tree_page
from django_tasktree.models import NodeRun, TreeRun

if TYPE_CHECKING:
    from django_tasktree.admin.nodes import NodeRunAdmin


class NodePage(RowPage):
    """The page of a node: all columns of its row, its attempts, its history and the tree below it."""

    model_admin: "NodeRunAdmin"
    row: NodeRun

    def get_context_data(self) -> dict[str, Any]:
        """Return the context of the template."""
        node, request, site = self.row, self.request, self.model_admin.admin_site
        # The tree links to the page of the run.
        runs_have_pages = site.is_registered(TreeRun)
        return {
            "node": node,
            "run": node.run,
            "run_title": rendering.run_title(node.run),
            "may_see_run": may_view(site, request, TreeRun, node.run),
            "place": place_in_tree(node, site.name) if runs_have_pages else "",
            "sub_run": sub_run_of(node, site.name, partial(may_view, site, request)),
            "waits_for": waiting_for(node, site.name),
            "badge": rendering.node_badge(node, node.run),
            "buttons": self.model_admin.page("control", ControlPage, request, node).buttons(request, node),
            "history": history_of(node.run, node),
            "times": _times(node),
            "values": values_of(node),
            "attempts": attempts_of(node, request, site),
            "tree": self._tree() if node.child_count and runs_have_pages else None,
        }

    def _tree(self) -> TreePage:
        page = tree_page(self.row.run, self.row)
        return replace(page, rows=with_answers(page.rows, self.model_admin.admin_site, self.request))


def _times(node: NodeRun) -> list[tuple[Any, Any]]:
    times = [(_("queued"), node.queued_at), (_("started"), node.started_at), (_("finished"), node.finished_at)]
    if node.eta is not None:
        times.insert(0, (_("due"), node.eta))
    shown: list[tuple[Any, Any]] = [(label, rendering.moment(value)) for label, value in times]
    return [*shown, (_("duration"), rendering.duration(node.duration))]
