"""The tasks of this app: one that launches trees on a schedule, and those by which runs mind the time."""

import logging
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

from celery import shared_task

from django_tasktree import purging, steering
from django_tasktree.background_steering import Steered, steer_some, sum_of
from django_tasktree.bulk_steering import STEERING
from django_tasktree.canvas.tasks import each, each_starred, errback, fork  # noqa: F401  Celery finds tasks here
from django_tasktree.engine.purge import Purged
from django_tasktree.exceptions import NotPossible
from django_tasktree.launching import launch_definition
from django_tasktree.purging import old_runs, purge_runs, retention
from django_tasktree.worker.context import current_node
from django_tasktree.worker.decorators import task_with_callbacks

logger = logging.getLogger(__name__)


@shared_task(name="django_tasktree.launch")
def launch(name: str, params: Mapping[str, Any] | None = None, key: str | None = None) -> str:
    """Launch a registered tree by name, from celery-beat or anything else that can send a message.

    .. code-block:: python

        CELERY_BEAT_SCHEDULE = {
            "nightly report": {
                "task": "django_tasktree.launch",
                "schedule": crontab(hour=3, minute=0),
                "args": ["nightly-report"],
                "kwargs": {"params": {"full": True}},
            },
        }

    Args:
        name: of the definition, as ``@register_tree`` gave it.
        params: its parameters, as JSON can hold them.
        key: makes the launch idempotent, so that a message which arrives twice launches one run. A key in a schedule
            is the same every time: it would launch once and never again.

    Returns:
        The key of the run.

    Raises:
        UnknownDefinition: the worker knows no tree of this name.
        InvalidParameter: parameters are missing, unknown or do not fit.
    """
    return str(launch_definition(name, params, key=key).id)


@shared_task(name="django_tasktree.purge")
def purge(days: float | None = None, keep_failed: bool = False, task_results: bool = False) -> dict[str, int]:
    """Delete runs that ended long ago, for celery-beat; see ``manage.py tasktree purge``.

    Args:
        days: how long ago; by default the setting ``RETENTION``.
        keep_failed: keep runs that failed or were revoked.
        task_results: delete Celery's TaskResult rows of their nodes too.

    Returns:
        The numbers of runs and nodes that were deleted, and of runs that were kept: the log says why.

    Raises:
        ValueError: there is neither an age nor a retention.
    """
    age = retention() if days is None else timedelta(days=days)
    if age is None:
        raise ValueError("django_tasktree.purge needs days=…, or the setting TASKTREE['RETENTION']")
    runs = nodes = kept = 0
    for step in purge_runs(old_runs(age, keep_failed=keep_failed), task_results=task_results):
        runs, nodes, kept = runs + step.runs, nodes + step.nodes, kept + len(step.kept)
        _log_kept(step)
    return {"runs": runs, "nodes": nodes, "kept": kept}


@shared_task(name="django_tasktree.delete_runs", ignore_result=True)
def delete_runs(run_ids: list[str]) -> None:
    """Delete large runs in the background. If the message is lost, ask again."""
    _log_kept(purging.delete_runs([UUID(run_id) for run_id in run_ids]))


def _log_kept(purged: Purged) -> None:
    for kept in purged.kept:
        logger.warning("run %s is not deleted: %s", kept.run_id, kept.reason, exc_info=kept.error)


@task_with_callbacks(name=STEERING)
def steer(kind: str, verb: str, keys: list[str], by: str = "", options: Mapping[str, Any] | None = None) -> Steered:
    """Ask some runs, or nodes, one after another; a part of what ``bulk(…).in_background(…)`` launches.

    Args:
        kind: the name of the model.
        verb: what to ask: a method of what ``bulk`` gives.
        keys: of the rows.
        by: names who asks, where the user is gone by then, or was none.
        options: what else the method takes.
    """
    return steer_some(kind, verb, [UUID(key) for key in keys], by, options or {})


@task_with_callbacks(name="django_tasktree.sum_up")
def sum_up() -> Steered:
    """Add up what the nodes of such a run have done."""
    return sum_of(current_node().run_id)


@shared_task(name="django_tasktree.start_due", ignore_result=True)
def start_due(run_id: str) -> None:
    """Launch a run whose time has come, unless somebody has launched it before or revoked it."""
    try:
        steering.launch_draft(UUID(run_id), by="eta")
    except NotPossible as exc:
        logger.info("%s", exc)


@shared_task(name="django_tasktree.enforce_deadline", ignore_result=True)
def enforce_deadline(run_id: str) -> None:
    """Stop a run whose deadline has passed, if it has not ended."""
    steering.enforce_deadline(UUID(run_id))
