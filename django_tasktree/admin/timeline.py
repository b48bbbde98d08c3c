"""What the timeline of a run draws: which node ran when, and on which worker."""

from typing import Any

from django.urls import reverse

from django_tasktree import times
from django_tasktree.models import NodeRun, TreeRun

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
        ``bars`` with times in seconds since the run's start; ``next`` is the number of the page after, if there is one.
    """
    started = NodeRun.objects.filter(run_id=run.id, started_at__isnull=False).order_by("started_at", "id")
    first = (max(number, 1) - 1) * PAGE
    rows = list(started.values(*_COLUMNS)[first : first + PAGE + 1])
    origin = times.instant(run.started_at or run.created_at)
    now = times.instant(run.finished_at or times.now())
    bars = [_bar(row, origin, now, site) for row in rows[:PAGE]]
    return {"bars": bars, "first": first + 1, "next": number + 1 if len(rows) > PAGE else None}


def _bar(row: dict[str, Any], origin: Any, now: Any, site: str) -> dict[str, Any]:
    # To the hundredth while it runs, so that little changes from look to look.
    start = times.instant(row["started_at"])
    end = times.instant(row["finished_at"]) if row["finished_at"] else max(now, start)
    return {
        "id": row["id"].hex,
        "name": row["task"].rpartition(".")[2],
        "state": row["state"].lower(),
        "worker": row["worker"],
        "start": round((start - origin).total_seconds(), 3),
        "end": round((end - origin).total_seconds(), 3 if row["finished_at"] else 0),
        "link": reverse("admin:django_tasktree_noderun_change", args=[row["id"]], current_app=site),
    }
