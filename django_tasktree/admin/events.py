"""The admin of the events that were sent to runs."""

# ruff: noqa: ARG002  Django's signatures

from typing import Any

from django.contrib import admin
from django.db.models import Prefetch, QuerySet, prefetch_related_objects
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from django_tasktree.admin import rendering
from django_tasktree.admin.addresses import page_address
from django_tasktree.admin.base import CheckedList, ReadOnlyAdmin
from django_tasktree.admin.filters import RunFilter
from django_tasktree.admin.pages.base import may_view
from django_tasktree.admin.tree.values import StoredValue
from django_tasktree.models import NodeRun, RunEvent, TreeRun
from django_tasktree.reporting.node_paths import titles_of

#: The columns of a node that its title needs.
_TITLE = ("id", "label", "task")
#: What the page of an event shows.
_SHOWN = ("name", "run_title", "sent", "sender", "content", "taken", "node_title", "refusal")


class FateFilter(admin.SimpleListFilter):
    """Filter by what has become of an event."""

    title = _("taken")
    parameter_name = "taken"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """Return the choices."""
        return [("yes", _("by a node")), ("no", _("not yet")), ("refused", _("refused"))]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        """Return the events of the current choice."""
        return {
            "yes": lambda: queryset.filter(taken_at__isnull=False),
            "no": lambda: queryset.filter(taken_at=None, refusal=""),
            "refused": lambda: queryset.filter(taken_at=None).exclude(refusal=""),
        }.get(self.value() or "", lambda: queryset)()


class EventList(CheckedList):
    """List that reads the users and the nodes of all its events at once."""

    def get_results(self, request: HttpRequest) -> None:
        """Load the page. Neither users nor nodes are joined: users may be in another database, nodes have no key."""
        super().get_results(request)
        events: list[Any] = list(self.result_list)
        prefetch_related_objects(events, "user")
        self.result_list = _with_nodes(events, request, self.model_admin.admin_site)


def _with_nodes(events: list[Any], request: HttpRequest, site: Any) -> list[Any]:
    """Set the titles of the nodes that took some events as their attributes, and which pages the user may see."""
    taken = {event.taken_by for event in events} - {None}
    titles = titles_of(NodeRun.objects.filter(id__in=taken).only(*_TITLE)) if taken else {}
    visible = {model for model in (TreeRun, NodeRun) if may_view(site, request, model)}
    for event in events:
        event.node_name, event.visible = titles.get(event.taken_by), visible
    return events


@admin.register(RunEvent)
class RunEventAdmin(ReadOnlyAdmin):
    """Admin of events. It is read-only: they are sent by code, by JSON or on the command line."""

    list_display = ["name", "run_title", "sent", "sender", "taken", "node_title", "reason"]
    list_filter = [FateFilter, RunFilter]
    search_fields = ["=name"]
    search_help_text = _("The whole name of an event")
    # IDs are in chronological order, and the primary key has an index.
    ordering = ["-id"]
    sortable_by = ()
    # Facets would count the whole table for each choice.
    show_facets = admin.ShowFacets.NEVER
    fields = _SHOWN
    readonly_fields = _SHOWN

    def title_of(self, row: Any) -> str:
        """Return the name of an event."""
        return str(row.name)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[EventList]:
        """Return the class of the list, which loads users and nodes of all events at once."""
        return EventList

    def get_queryset(self, request: HttpRequest) -> QuerySet[RunEvent]:
        """Return the events with their runs, for the list without payloads, which may be long."""
        events: QuerySet[RunEvent] = super().get_queryset(request)
        match = request.resolver_match
        if match and match.url_name == "django_tasktree_runevent_changelist":
            events = events.defer("payload")
        return events.prefetch_related(Prefetch("run", TreeRun.objects.defer("params", "returns")))

    def get_object(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """Return an event, with the node that took it; None if there is no such event."""
        event = super().get_object(request, *args, **kwargs)
        return event and _with_nodes([event], request, self.admin_site)[0]

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> Any:
        """Render Django's own page."""
        return super(ReadOnlyAdmin, self).render_change_form(request, context, *args, **kwargs)

    @admin.display(description=_("run"))
    def run_title(self, event: Any) -> SafeString | str:
        """Show the title of the run."""
        return self._linked(event, TreeRun, "treerun_change", event.run_id, rendering.run_title(event.run))

    @admin.display(description=_("sent"))
    def sent(self, event: RunEvent) -> SafeString | str:
        """Show the time at which it was sent."""
        return rendering.moment(event.created_at)

    @admin.display(description=_("sent by"), empty_value=rendering.EMPTY)
    def sender(self, event: RunEvent) -> str | None:
        """Show who sent it."""
        return event.actor or (str(event.user) if event.user is not None else None)

    @admin.display(description=_("payload"))
    def content(self, event: RunEvent) -> SafeString:
        """Show the payload, or a part of it if it is long."""
        context = {"value": StoredValue.of(event.payload, {})}
        return render_to_string("admin/django_tasktree/includes/stored_value.html", context)

    @admin.display(description=_("taken"))
    def taken(self, event: RunEvent) -> SafeString | str:
        """Show the time at which a node took it."""
        return rendering.moment(event.taken_at)

    @admin.display(description=_("by the node"))
    def node_title(self, event: Any) -> SafeString | str:
        """Show the node that it has ended."""
        name = event.node_name
        return rendering.EMPTY if name is None else self._linked(event, NodeRun, "noderun_change", event.taken_by, name)

    @admin.display(description=_("refusal"), empty_value=rendering.EMPTY)
    def reason(self, event: RunEvent) -> SafeString | None:
        """Show why its payload was refused; CSS shortens it."""
        if not event.refusal:
            return None
        return format_html('<span class="tasktree-clip" title="{}">{}</span>', event.refusal, event.refusal)

    def _linked(self, event: Any, model: Any, page: str, key: Any, title: str) -> SafeString | str:
        if model not in event.visible:
            return title
        return format_html('<a href="{}">{}</a>', page_address(self.admin_site.name, page, key), title)
