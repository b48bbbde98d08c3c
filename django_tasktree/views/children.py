"""The nodes of a run as JSON: the children of one node, in pages."""

from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from django_tasktree.encoding import times
from django_tasktree.models import NodeRun, TreeRun
from django_tasktree.reporting.http_cache import with_etag
from django_tasktree.reporting.numbers import whole_number
from django_tasktree.states import NodeState
from django_tasktree.views.access import visible_run
from django_tasktree.views.answers import answer, error, with_json_errors
from django_tasktree.views.node_lookup import find_node

#: The default and the maximum number of nodes of a page.
PAGE, MAX_PAGE = 100, 1000
_TIMES = ("queued_at", "started_at", "finished_at")
_COLUMNS = (
    "id",
    "parent_id",
    "position",
    "label",
    "task",
    "state",
    "is_gather",
    "quorum",
    "run_when",
    "child_count",
    "attempts",
    "sub_run_id",
    *_TIMES,
)
_ERROR = ("error_type", "error_message")


@with_json_errors
@require_safe
def children(request: HttpRequest, run_id: UUID) -> HttpResponse:
    """Return the children of a node as JSON.

    Query parameters: ``parent``: ID or path of the node, by default the root nodes are returned; ``after``: only nodes
    whose position is greater; ``limit``: number of nodes.
    """
    run = visible_run(request, run_id)
    try:
        after, limit = _whole(request, "after", -1, -1), min(_whole(request, "limit", PAGE, 1), MAX_PAGE)
    except ValueError as exc:
        return error(400, str(exc))
    text = request.GET.get("parent")
    parent = find_node(run, text, "child_count") if text else None
    with_errors = request.user.has_perm("django_tasktree.view_noderun")
    under = NodeRun.objects.under(run.id, parent.id if parent else None)
    rows = under.filter(position__gt=after).in_order().values(*_COLUMNS, *(_ERROR if with_errors else ()))
    page = list(rows[: limit + 1])
    content = {
        "run": str(run.id),
        "parent": str(parent.id) if parent else None,
        "total": parent.child_count if parent else NodeRun.objects.root_count(run.id),
        "nodes": [_described(row) for row in page[:limit]],
        "next": _next(run, parent, page[limit - 1]["position"], limit) if len(page) > limit else None,
    }
    return with_etag(request, answer(content))


def _described(row: dict[str, Any]) -> dict[str, Any]:
    described = {**row, "id": str(row["id"]), "parent": row["parent_id"] and str(row["parent_id"])}
    del described["parent_id"]
    described["sub_run"] = (key := described.pop("sub_run_id")) and str(key)
    described |= {name: times.for_json(row[name]) for name in _TIMES}
    described["state_label"] = str(NodeState(row["state"]).label)
    if "error_type" in row:
        kind, message = described.pop("error_type"), described.pop("error_message")
        described["error"] = {"type": kind, "message": message} if kind else None
    return described


def _next(run: TreeRun, parent: NodeRun | None, last: int, limit: int) -> str:
    query = {"after": last, "limit": limit, **({"parent": str(parent.id)} if parent else {})}
    return f"{reverse('tasktree:children', args=[run.id])}?{urlencode(query)}"


def _whole(request: HttpRequest, name: str, default: int, least: int) -> int:
    text = request.GET.get(name, "")
    if not text:
        return default
    number = whole_number(text)
    if number is None or number < least:
        raise ValueError(
            _("%(name)s=%(value)s is not a whole number of at least %(least)s.")
            % {"name": name, "value": text, "least": max(least, 0)}
        )
    return number
