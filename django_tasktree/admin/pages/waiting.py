"""The list of the nodes that wait for an event or a person."""

from typing import TYPE_CHECKING, Any

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _

from django_tasktree.admin.pages.base import AdminPage, may_view
from django_tasktree.admin.pages.control import ControlPage
from django_tasktree.admin.rendering import moment, run_title
from django_tasktree.control.actions import node_actions
from django_tasktree.models import TreeRun
from django_tasktree.reporting.numbers import number_text
from django_tasktree.reporting.waits import MAX_WAITS, ListedWait, open_waits

if TYPE_CHECKING:
    from django_tasktree.admin.nodes import NodeRunAdmin

#: The number of nodes on a page.
PER_PAGE = 50


class WaitingPage(AdminPage):
    """The nodes that wait for an event or a person, the longest waiting first; ``?event=`` shows those of one name."""

    route = "waiting/"
    template_name = "admin/django_tasktree/noderun/waiting.html"
    model_admin: "NodeRunAdmin"

    def get(self, request: HttpRequest) -> HttpResponse:  # noqa: ARG002  Django's signature
        """Show the list."""
        return self.render(self.get_context_data())

    def get_context_data(self) -> dict[str, Any]:
        """Return the context of the template; the number of queries is constant."""
        found = self.waits()
        event = self.request.GET.get("event", "")
        page = Paginator([each for each in found if event in ("", each.spec.event)], PER_PAGE).get_page(
            self.request.GET.get("p")
        )
        titles = self.model_admin.titles_of(each.node for each in page)
        site = self.model_admin.admin_site
        return {
            **self.page_context(_("Waiting for an answer")),
            "waits": [self._row(each, titles[each.node.pk]) for each in page],
            "page": page,
            "event": event,
            "events": sorted({each.spec.event for each in found}),
            "most": number_text(MAX_WAITS) if len(found) == MAX_WAITS else "",
            "may_see_runs": may_view(site, self.request, TreeRun),
        }

    def waits(self) -> list[ListedWait]:
        """Return the nodes that the page lists."""
        return open_waits()

    def _row(self, wait: ListedWait, name: str) -> dict[str, Any]:
        node = wait.node
        action = node_actions()["complete"]
        control = self.model_admin.page("control", ControlPage, self.request, node)
        may_answer = control.has_action_permission(self.request, action, node)
        return {
            "node": node,
            "heading": wait.spec.heading(name),
            "event": wait.spec.event,
            "run": run_title(node.run),
            "since": moment(node.queued_at),
            "due": moment(node.eta),
            "answer": self.model_admin.address("control", node.pk, action.name) if may_answer else "",
        }
