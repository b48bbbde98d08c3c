"""The attempts of a node, with links to their results in django_celery_results."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.apps import apps
from django.contrib.admin import AdminSite
from django.http import HttpRequest
from django.urls import reverse
from django.utils.safestring import SafeString

from django_tasktree.admin import rendering
from django_tasktree.encoding import times
from django_tasktree.models import NodeAttempt, NodeRun
from django_tasktree.states import NodeState

#: The maximum number of earlier attempts, the latest ones.
MAX_ATTEMPTS = 20


@dataclass(frozen=True)
class Attempt:
    """A row of the table of attempts. The last attempt is stored in the node's row, earlier ones in ``NodeAttempt``."""

    number: int
    badge: SafeString
    task_id: UUID
    worker: str
    started_at: datetime | None
    finished_at: datetime | None
    error_type: str
    error_message: str
    traceback: str
    link: str = ""

    @property
    def started(self) -> SafeString | str:
        """The start time as HTML."""
        return rendering.moment(self.started_at)

    @property
    def duration(self) -> str:
        """The duration as text."""
        if self.started_at is None or self.finished_at is None:
            return rendering.EMPTY
        return rendering.duration(times.elapsed(self.started_at, self.finished_at))


def attempts_of(node: NodeRun, request: HttpRequest, site: AdminSite) -> list[Attempt]:
    """Return the attempts of a node, the newest first."""
    earlier = list(NodeAttempt.objects.filter(node_id=node.id).order_by("-number")[:MAX_ATTEMPTS])
    links = _task_results([node.task_id, *(row.task_id for row in earlier)], request, site)
    badge = rendering.node_badge(node, node.run)
    current = [_attempt(node, node.attempts, badge, links)] if node.attempts else []
    return current + [_attempt(row, row.number, _outcome(row.outcome), links) for row in earlier]


def _attempt(row: Any, number: int, badge: SafeString, links: dict[str, str]) -> Attempt:
    return Attempt(
        number=number,
        badge=badge,
        task_id=row.task_id,
        worker=row.worker,
        started_at=row.started_at,
        finished_at=row.finished_at,
        error_type=row.error_type,
        error_message=row.error_message,
        traceback=row.traceback,
        link=links.get(str(row.task_id), ""),
    )


def _outcome(outcome: str) -> SafeString:
    label = NodeState(outcome).label if outcome in NodeState.values else outcome
    return rendering.badge(outcome, label)


def _task_results(task_ids: list[UUID], request: HttpRequest, site: AdminSite) -> dict[str, str]:
    """Return the admin pages in django_celery_results that the user may see: task ID -> URL path."""
    if not apps.is_installed("django_celery_results"):
        return {}
    model = apps.get_model("django_celery_results", "TaskResult")
    if not site.is_registered(model) or not request.user.has_perm("django_celery_results.view_taskresult"):
        return {}
    found = model._default_manager.filter(task_id__in=map(str, task_ids)).values_list("task_id", "pk")
    page = "admin:django_celery_results_taskresult_change"
    return {task_id: reverse(page, args=[key], current_app=site.name) for task_id, key in found}
