"""The tasks of this app: launches on a schedule, purges, actions in the background, and timers."""

import logging
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from celery import shared_task

from django_tasktree.builder.eligibility import ACT_IN_BACKGROUND
from django_tasktree.client.background import BulkSummary, act_on_some, sum_of
from django_tasktree.client.canvas_tasks import each, each_starred, errback, fork  # noqa: F401  Celery finds tasks here
from django_tasktree.client.decorators import task_with_callbacks
from django_tasktree.client.map_task import make_children  # noqa: F401  Celery finds tasks here
from django_tasktree.client.sub_run_task import start_run  # noqa: F401  Celery finds tasks here
from django_tasktree.control import operations, waits
from django_tasktree.control.purge import old_runs, purge_runs, retention
from django_tasktree.definitions.launch import launch_definition
from django_tasktree.encoding import times
from django_tasktree.engine.deletion.purge import Purged
from django_tasktree.exceptions import NotPossible
from django_tasktree.worker.context import current_node

logger = logging.getLogger(__name__)


@shared_task(name="django_tasktree.launch")
def launch(name: str, params: Mapping[str, Any] | None = None, key: str | None = None) -> str:
    """Launch a definition by name, for celery-beat and other programs that send messages.

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
        name: the name of the definition, as registered with ``@register_tree``.
        params: the parameters of the definition, as JSON can hold them.
        key: makes the launch idempotent, so that a message that arrives twice launches one run. Do not pass a key in a
            schedule: it is the same each time, so that the tree is launched only once.

    Returns:
        The ID of the run.

    Raises:
        UnknownDefinition: if no definition has this name in the worker.
        InvalidParameter: if parameters are missing, unknown or invalid.
    """
    return str(launch_definition(name, params, key=key).id)


@shared_task(name="django_tasktree.purge")
def purge(days: float | None = None, keep_failed: bool = False, task_results: bool = False) -> dict[str, int]:
    """Delete old runs, for celery-beat; see ``manage.py tasktree purge``.

    Args:
        days: the minimum age in days since the end of a run; by default the setting ``RETENTION``.
        keep_failed: whether to keep runs that failed or were revoked.
        task_results: whether to delete Celery's TaskResult rows of the nodes too.

    Returns:
        The numbers of deleted ``runs`` and ``nodes``, and of runs that were ``kept``; the log has the reasons.

    Raises:
        ValueError: if neither ``days`` nor the setting is given.
    """
    age = retention() if days is None else times.duration_of(days=days)
    if age is None:
        raise ValueError("django_tasktree.purge needs days=…, or the setting TASKTREE['RETENTION']")
    runs = nodes = kept = 0
    for step in purge_runs(old_runs(age, keep_failed=keep_failed), task_results=task_results):
        runs, nodes, kept = runs + step.runs, nodes + step.nodes, kept + len(step.kept)
        _log_kept(step)
    return {"runs": runs, "nodes": nodes, "kept": kept}


def _log_kept(purged: Purged) -> None:
    for kept in purged.kept:
        logger.warning("run %s is not deleted: %s", kept.run_id, kept.reason, exc_info=kept.error)


@task_with_callbacks(name=ACT_IN_BACKGROUND)
def act(kind: str, action: str, keys: list[str], by: str = "", options: Mapping[str, Any] | None = None) -> BulkSummary:
    """Carry out an action on some runs or nodes, one after another: a node of a run of ``bulk(…).in_background(…)``.

    Args:
        kind: the name of the model: ``"treerun"`` or ``"noderun"``.
        action: the name of the action, a method of :class:`django_tasktree.client.bulk.Bulk`.
        keys: the primary keys of the rows.
        by: the name of the user or program; used if the run has no user who launched it.
        options: further arguments of the method.
    """
    return act_on_some(kind, action, [UUID(key) for key in keys], by, options or {})


@task_with_callbacks(name="django_tasktree.sum_up")
def sum_up() -> BulkSummary:
    """Add up the results of the other nodes of a run of ``bulk(…).in_background(…)``."""
    return sum_of(current_node().run_id)


@shared_task(name="django_tasktree.start_due", ignore_result=True)
def start_due(run_id: str) -> None:
    """Launch a draft that is due, unless it was launched or revoked before."""
    try:
        operations.launch_draft(UUID(run_id), by="eta")
    except NotPossible as exc:
        logger.info("%s", exc)


@shared_task(name="django_tasktree.enforce_deadline", ignore_result=True)
def enforce_deadline(run_id: str) -> None:
    """Stop a run that has not ended by its deadline."""
    operations.enforce_deadline(UUID(run_id))


@shared_task(name="django_tasktree.end_wait", ignore_result=True)
def end_wait(node_id: str, task_id: str) -> None:
    """End a wait node whose time has passed, unless it has ended before."""
    waits.end_wait(UUID(node_id), UUID(task_id))
