"""The data of the timeline of a run: start, end and worker of each node."""

from datetime import datetime
from typing import Any

from django.db.models import Q
from django.db.models.functions import Coalesce

from django_tasktree.admin.addresses import page_address
from django_tasktree.encoding import times
from django_tasktree.encoding.text import short_name
from django_tasktree.models import NodeRun, TreeRun
from django_tasktree.reporting.query_cache import recent
from django_tasktree.states import NodeState

#: The number of bars on a page.
PAGE = 300
_COLUMNS = ("id", "label", "task", "state", "worker", "since", "finished_at", "sub_run_id")
#: The nodes that have started. An open wait has not, but has begun when the node was reached.
_HAS_BEGUN = Q(started_at__isnull=False) | Q(state=NodeState.WAITING)


def timeline_of(run: TreeRun, number: int, site: str) -> dict[str, Any]:
    """Return a page of the nodes that have started, by start time.

    Args:
        run: the run.
        number: the number of the page, from 1; the nearest existing page is used.
        site: the name of the admin site, for links.

    Returns:
        ``bars``, with ``start`` and ``end`` in seconds since ``origin``, and None as the end of nodes that still run or
        wait; ``page`` and ``pages``, the number of the page and of all pages. The nodes of large runs may be a few
        seconds old (cached).
    """
    started = NodeRun.objects.filter(_HAS_BEGUN, run_id=run.id)
    total = recent(("started", run.id, run.state), started.count)
    pages = max((total + PAGE - 1) // PAGE, 1)
    page = min(max(number, 1), pages)
    first = (page - 1) * PAGE
    since = started.annotate(since=Coalesce("started_at", "queued_at"))
    rows = since.order_by("since", "id").values(*_COLUMNS)[first : first + PAGE]
    bars = recent(("bars", run.id, run.state, page), lambda: list(rows))
    origin = times.instant(run.started_at or run.created_at)
    end = run.finished_at and times.instant(run.finished_at)
    return {
        "bars": [_bar(row, origin, end, site) for row in bars],
        "origin": origin,
        "page": page,
        "pages": pages,
    }


def _bar(row: dict[str, Any], origin: datetime, end: datetime | None, site: str) -> dict[str, Any]:
    start = times.instant(row["since"])
    ended = times.instant(row["finished_at"]) if row["finished_at"] else end
    return {
        "id": row["id"].hex,
        "name": row["label"] or short_name(row["task"]),
        "state": row["state"].lower(),
        "worker": row["worker"],
        "start": round((start - origin).total_seconds(), 3),
        "end": round((max(ended, start) - origin).total_seconds(), 3) if ended else None,
        "link": page_address(site, "noderun_change", row["id"]),
        "run": page_address(site, "treerun_change", row["sub_run_id"]) if row["sub_run_id"] else None,
    }
