"""Data that the list and the page of a run request while they are open: states, tree rows, graph and timeline.

All requests are read-only. Responses have an ETag, so that unchanged data needs few bytes.
"""

# ruff: noqa: ARG002  Django's signatures

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.contrib.admin.options import IncorrectLookupParameters
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.template.loader import render_to_string

from django_tasktree.admin.pages.answers import with_answers
from django_tasktree.admin.pages.base import AdminPage
from django_tasktree.admin.pages.run import RunPage
from django_tasktree.admin.tree.graph import graph_of, opened_of
from django_tasktree.admin.tree.page import parent_of, rows_below
from django_tasktree.admin.tree.row import TreeRow, node_rows
from django_tasktree.admin.tree.timeline import timeline_of
from django_tasktree.encoding.ids import as_uuid
from django_tasktree.models import TreeRun
from django_tasktree.reporting.http_cache import with_etag
from django_tasktree.reporting.node_counts import Look
from django_tasktree.reporting.numbers import whole_number

if TYPE_CHECKING:
    from django_tasktree.admin.runs import TreeRunAdmin

#: The maximum number of rows of the tree whose states one request returns.
MAX_ROWS = 100


class LiveAnswer(AdminPage):
    """A JSON response with an ETag. The browser stores it, and checks each time whether it has changed."""

    is_cacheable = True
    model_admin: "TreeRunAdmin"

    def get(self, request: HttpRequest, **path: Any) -> HttpResponse:
        """Return the content as JSON, or status 304 if it is unchanged."""
        return with_etag(request, JsonResponse(self.get_content()))

    def get_content(self) -> dict[str, Any]:
        """Return the content of the response."""
        raise NotImplementedError

    def number(self, name: str) -> int:
        """Return the number in a parameter of the URL; 0 if it is missing or not a number."""
        return whole_number(self.request.GET.get(name, "")) or 0


class ListLive(LiveAnswer):
    """The runs that the list shows, with the cells that change, and the number of all runs that match."""

    route = "list-live/"

    def get_content(self) -> dict[str, Any]:
        """Return the cells of each run, and the total.

        Raises:
            Http404: a filter in the URL is invalid.
        """
        try:
            listed = self.model_admin.get_changelist_instance(self.request)
        except IncorrectLookupParameters as exc:
            raise Http404(str(exc)) from exc
        rows = [{"id": str(run.pk), "cells": self.model_admin.cells_of(run)} for run in listed.result_list]
        return {"rows": rows, "total": listed.result_count}


class RunLive(LiveAnswer):
    """The parts of the page of a run that change, and the states of the rows that the browser shows."""

    route = "<uuid:key>/live/"
    row: TreeRun

    def get_content(self) -> dict[str, Any]:
        """Return the parts of the page as HTML, and the states of the rows as data."""
        run = self.row
        context = self.model_admin.page("change", RunPage, self.request, run).live_context(Look.POLL, text=False)
        html, history = (
            render_to_string(f"admin/django_tasktree/includes/{part}.html", context, self.request)
            for part in ("run_live", "history")
        )
        texts = self.request.GET.get("nodes", "").split(",")
        ids = [found for text in texts[:MAX_ROWS] if (found := as_uuid(text))]
        rows = self._states(ids) if self.model_admin.has_view_nodes_permission(self.request, run) else None
        return {
            "html": html,
            "history": history,
            "rows": rows or {},
            "gone": [] if rows is None else [node_id.hex for node_id in ids if node_id.hex not in rows],
            "over": run.is_over and context["is_counted"],
        }

    def _states(self, ids: list[UUID]) -> dict[str, Any]:
        if not ids:
            return {}
        # All children count as hidden: the browser uses the cell only if their number has changed, so it lacks some.
        nodes = node_rows().filter(run_id=self.row.id, id__in=ids)
        rows = [TreeRow(self.row, node, 0, node.child_count) for node in nodes]
        answerable = with_answers(rows, self.model_admin.admin_site, self.request)
        return {row.node.id.hex: _row_state(self.request, row) for row in answerable}


class NodesAnswer(LiveAnswer):
    """Base class of responses about nodes of a run."""

    permission = "view_nodes"
    row: TreeRun

    def parent(self) -> Any:
        """Return the node that the URL names; None for the run itself.

        Raises:
            Http404: the run has no such node.
        """
        text = self.request.GET.get("parent")
        if not text:
            return None
        node_id = as_uuid(text)
        parent = parent_of(self.row, node_id) if node_id else None
        if parent is None:
            raise Http404(f"run {self.row.id} has no node {text!r}")
        return parent


class TreeRows(NodesAnswer):
    """A page of the children of a node, as rows of the table."""

    route = "<uuid:key>/rows/"
    template_name = "admin/django_tasktree/includes/tree_rows.html"

    def get_content(self) -> dict[str, Any]:
        """Return the rows as HTML; and under ``after`` those of gather nodes and failed nodes of later pages."""
        parent = self.parent()
        page, later = rows_below(self.row, parent, max(self.number("page"), 1), self.number("depth"))
        site = self.model_admin.admin_site
        html, after = (self._html(with_answers(rows, site, self.request)) for rows in (page.rows, later))
        return {"html": html, "after": after, "next": page.next, "total": page.total, "last": page.last}

    def _html(self, rows: Sequence[Any]) -> str:
        context = {"tree": {"rows": rows}, "run": self.row}
        return render_to_string(self.template_name, context, self.request) if rows else ""


class Graph(NodesAnswer):
    """The data of the graph."""

    route = "<uuid:key>/graph/"

    def get_content(self) -> dict[str, Any]:
        """Return the nodes, each with the ID of its parent."""
        opened = opened_of(self.request.GET.get("open", ""))
        return graph_of(self.row, self.parent(), self.model_admin.admin_site.name, opened)


class Timeline(NodesAnswer):
    """The data of the timeline."""

    route = "<uuid:key>/timeline/"

    def get_content(self) -> dict[str, Any]:
        """Return a page of bars."""
        return timeline_of(self.row, self.number("page") or 1, self.model_admin.admin_site.name)


def _row_state(request: HttpRequest, row: TreeRow) -> dict[str, Any]:
    template = "admin/django_tasktree/includes/tree_children.html"
    return {
        "badge": row.badge,
        "attempts": row.node.attempts,
        "duration": row.live_duration,
        "children": row.node.child_count,
        "cell": render_to_string(template, {"row": row, "run": row.run}, request) if row.node.child_count else "",
    }
