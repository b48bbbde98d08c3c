"""What the timeline of a run draws: which node ran when, and on which worker."""

from datetime import datetime
from typing import Any

from django.urls import reverse

from django_tasktree import times
from django_tasktree.models import NodeRun, TreeRun
from django_tasktree.recent import recent
from django_tasktree.text import short_name

#: So many bars make a page.
PAGE = 300
_COLUMNS = ("id", "task", "state", "worker", "started_at", "finished_at")


def timeline_of(run: TreeRun, number: int, site: str) -> dict[str, Any]:
    """Describe a page of the nodes that have started, in the order in which they did.

    Args:
        run: the run.
        number: the page, from 1.
        site: the name of the admin site, for links.

    Returns:
        ``bars`` with times in seconds since ``origin``, without an end while they go on; ``page``, and how many
        ``pages`` there are.
    """
    started = NodeRun.objects.filter(run_id=run.id, started_at__isnull=False)
    total = recent(("started", run.id, run.state), started.count)
    pages = max((total + PAGE - 1) // PAGE, 1)
    page = min(max(number, 1), pages)
    first = (page - 1) * PAGE
    rows = started.order_by("started_at", "id").values(*_COLUMNS)[first : first + PAGE]
    origin = times.instant(run.started_at or run.created_at)
    end = run.finished_at and times.instant(run.finished_at)
    return {
        "bars": [_bar(row, origin, end, site) for row in rows],
        "origin": origin,
        "page": page,
        "pages": pages,
    }


def _bar(row: dict[str, Any], origin: datetime, end: datetime | None, site: str) -> dict[str, Any]:
    start = times.instant(row["started_at"])
    ended = times.instant(row["finished_at"]) if row["finished_at"] else end
    return {
        "id": row["id"].hex,
        "name": short_name(row["task"]),
        "state": row["state"].lower(),
        "worker": row["worker"],
        "start": round((start - origin).total_seconds(), 3),
        "end": round((max(ended, start) - origin).total_seconds(), 3) if ended else None,
        "link": reverse("admin:django_tasktree_noderun_change", args=[row["id"]], current_app=site),
    }
