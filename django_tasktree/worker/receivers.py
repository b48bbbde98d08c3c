"""Receivers of Celery's signals about the messages of nodes."""

from typing import Any

from celery import signals

from django_tasktree.dispatch.message import HEADER
from django_tasktree.dispatch.open_transactions import roll_back_leftovers
from django_tasktree.worker import lost_attempts
from django_tasktree.worker.unknown_tasks import give_back


def connect() -> None:
    """Connect the receivers. Call it once per process."""
    signals.task_postrun.connect(_on_postrun, dispatch_uid="django_tasktree", weak=False)
    signals.task_unknown.connect(_on_unknown, dispatch_uid="django_tasktree", weak=False)
    signals.task_revoked.connect(_on_revoked, dispatch_uid="django_tasktree", weak=False)


def _on_postrun(task_id: str, task: Any, **_: Any) -> None:
    """Roll back transactions that ``on_success``, ``after_return`` or receivers of signals left open."""
    if not task.request.is_eager and HEADER in (task.request.headers or {}):
        roll_back_leftovers(task.name, task_id, "after")


def _on_unknown(sender: Any, message: Any, name: str, id: str, **_: Any) -> None:  # noqa: A002  the signal's argument
    give_back(sender, message, name, id)


def _on_revoked(request: Any, terminated: bool, expired: bool, **_: Any) -> None:
    lost_attempts.attempt_revoked(request.headers, request.id, expired=expired, terminated=terminated)
