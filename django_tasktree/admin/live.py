"""What the page of a run asks for while it is open: how things stand, further rows of the tree, graph and timeline.

All of it is read only. Answers carry an ETag, so that a look at what has not changed costs few bytes.
"""

from functools import partial
from typing import Any
from uuid import UUID

from django.contrib.admin.options import IncorrectLookupParameters
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.template.loader import render_to_string
from django.urls import URLPattern, path

from django_tasktree.admin.graph import graph_of, opened_of
from django_tasktree.admin.read_only import Admin
from django_tasktree.admin.timeline import timeline_of
from django_tasktree.admin.tree_page import parent_of, rows_below
from django_tasktree.admin.tree_row import TreeRow, node_rows
from django_tasktree.conditional import conditional
from django_tasktree.identifiers import as_uuid
from django_tasktree.models import TreeRun
from django_tasktree.number_texts import whole_number
from django_tasktree.states import NODE_FINAL

#: The states of so many rows of the tree are told at a look.
MOST_ROWS = 100
#: No row is indented further.
_DEEPEST = 50


class LivePages(Admin):
    """Adds them to the admin of runs."""

    def get_urls(self) -> list[URLPattern]:
        """Put them before the pages of single runs, which take any path."""
        name = "django_tasktree_treerun"
        # Each answer is conditional: the browser keeps it, and asks each time whether it has changed.
        wrap = partial(self.admin_site.admin_view, cacheable=True)
        return [
            path("list-live/", wrap(self.list_live_view), name=f"{name}_list_live"),
            path("<uuid:key>/live/", wrap(self.live_view), name=f"{name}_live"),
            path("<uuid:key>/rows/", wrap(self.rows_view), name=f"{name}_rows"),
            path("<uuid:key>/graph/", wrap(self.graph_view), name=f"{name}_graph"),
            path("<uuid:key>/timeline/", wrap(self.timeline_view), name=f"{name}_timeline"),
            *super().get_urls(),
        ]

    def has_view_nodes_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002  Django's manner
        """Tell whether the user may see the nodes of a run; a hook, like Django's own."""
        return request.user.has_perm("django_tasktree.view_noderun")

    def live_context(self, request: HttpRequest, run: TreeRun, *, look: bool = False) -> dict[str, Any]:
        """What the part of the page that changes shows; ``look`` without what the browser counts itself."""
        raise NotImplementedError

    def cells_of(self, run: Any) -> dict[str, Any]:
        """What the cells of a run in the list show that change, by the names of the columns."""
        raise NotImplementedError

    def list_live_view(self, request: HttpRequest) -> HttpResponse:
        """The runs that the list shows, with what changes of each."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        try:
            listed = self.get_changelist_instance(request)
        except IncorrectLookupParameters as exc:
            raise Http404(str(exc)) from exc
        rows = [{"id": str(run.pk), "cells": self.cells_of(run)} for run in listed.result_list]
        return conditional(request, JsonResponse({"rows": rows}))

    def live_view(self, request: HttpRequest, key: UUID) -> HttpResponse:
        """The parts of the page that change, and the states of the rows that the browser shows."""
        run = self._run(request, key)
        context = self.live_context(request, run, look=True)
        html, history = (
            render_to_string(f"admin/django_tasktree/includes/{part}.html", context, request)
            for part in ("run_live", "history")
        )
        ids = [found for text in request.GET.get("nodes", "").split(",")[:MOST_ROWS] if (found := as_uuid(text))]
        rows = self._states(run, ids) if self.has_view_nodes_permission(request, run) else {}
        return conditional(request, JsonResponse({"html": html, "history": history, "rows": rows, "over": run.is_over}))

    def rows_view(self, request: HttpRequest, key: UUID) -> HttpResponse:
        """A page of the children of a node, as rows of the table."""
        run = self._run(request, key, nodes=True)
        parent = self._parent(run, request)
        number, depth = (_number(request, name) for name in ("page", "depth"))
        page = rows_below(run, parent, max(number, 1), min(depth, _DEEPEST))
        template = "admin/django_tasktree/includes/tree_rows.html"
        html = render_to_string(template, {"tree": page, "run": run}, request)
        content = {"html": html, "next": page.next, "total": page.total, "last": page.last}
        return conditional(request, JsonResponse(content))

    def graph_view(self, request: HttpRequest, key: UUID) -> HttpResponse:
        """What the graph draws."""
        run = self._run(request, key, nodes=True)
        opened = opened_of(request.GET.get("open", ""))
        drawn = graph_of(run, self._parent(run, request), self.admin_site.name, opened)
        return conditional(request, JsonResponse(drawn))

    def timeline_view(self, request: HttpRequest, key: UUID) -> HttpResponse:
        """What the timeline draws."""
        run = self._run(request, key, nodes=True)
        drawn = timeline_of(run, _number(request, "page") or 1, self.admin_site.name)
        return conditional(request, JsonResponse(drawn))

    def _run(self, request: HttpRequest, key: UUID, *, nodes: bool = False) -> TreeRun:
        run: TreeRun | None = self.get_queryset(request).filter(pk=key).first()
        if run is None:
            raise Http404(f"no run {key}")
        if not self.has_view_permission(request, run):
            raise PermissionDenied
        if nodes and not self.has_view_nodes_permission(request, run):
            raise PermissionDenied
        return run

    def _parent(self, run: TreeRun, request: HttpRequest) -> Any:
        """Read the node that the address names; None for the root.

        Raises:
            Http404: the run has no such node.
        """
        text = request.GET.get("parent")
        if not text:
            return None
        node_id = as_uuid(text)
        parent = parent_of(run, node_id) if node_id else None
        if parent is None:
            raise Http404(f"run {run.id} has no node {text!r}")
        return parent

    def _states(self, run: TreeRun, ids: list[UUID]) -> dict[str, Any]:
        if not ids:
            return {}
        rows = [TreeRow(run, node, 0, 0) for node in node_rows().filter(run_id=run.id, id__in=ids)]
        return {
            row.node.id.hex: {
                "badge": row.badge,
                "attempts": row.node.attempts,
                "duration": row.duration_at_a_look,
                "children": row.node.child_count,
                "over": row.node.state in NODE_FINAL,
            }
            for row in rows
        }


def _number(request: HttpRequest, name: str) -> int:
    return whole_number(request.GET.get(name, "")) or 0
