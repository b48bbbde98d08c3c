"""Checks of the setting ``TASKTREE``."""

from collections.abc import Iterator
from datetime import timedelta
from difflib import get_close_matches
from typing import Any

from celery import current_app
from django.conf import settings as django_settings
from django.core.checks import CheckMessage, Error, Info
from django.utils.module_loading import import_string

from django_tasktree.conf import KEYS, has_right_type, is_in_range, settings, valid_values

UNREADABLE = "django_tasktree.E001"


def settings_can_be_read() -> Iterator[CheckMessage]:
    """Check E001: all settings must exist and have values of the right type."""
    values = getattr(django_settings, "TASKTREE", {})
    if not isinstance(values, dict):
        yield Error(f"TASKTREE is {values!r}, not a dict.", hint="See docs/settings.rst.", id=UNREADABLE)
        return
    for key, value in values.items():
        if key not in KEYS:
            near = get_close_matches(str(key).upper(), KEYS, n=1)
            hint = f"Did you mean {near[0]!r}?" if near else f"Its settings are {', '.join(sorted(KEYS))}."
            yield Error(f"TASKTREE has no setting {key!r}.", hint=hint, id=UNREADABLE)
        elif not _is_valid(key, value):
            yield Error(f"TASKTREE[{key!r}] is {value!r}.", hint=f"It must be {valid_values(key)}.", id=UNREADABLE)


def worker_lost_after_exceeds_heartbeats() -> Iterator[CheckMessage]:
    """Check E002: running workers must not count as lost between two heartbeats."""
    if settings.worker_lost_after < 2 * settings.heartbeat_interval:
        yield Error(
            f"TASKTREE['WORKER_LOST_AFTER'] ({settings.worker_lost_after:g} s) is less than twice HEARTBEAT_INTERVAL "
            f"({settings.heartbeat_interval:g} s): a worker would be considered lost when one heartbeat is late.",
            hint="Set WORKER_LOST_AFTER to several times HEARTBEAT_INTERVAL; by default it is six times as long.",
            id="django_tasktree.E002",
        )


def results_outlive_their_runs() -> Iterator[CheckMessage]:
    """Check I001: Celery's own results should be kept as long as the runs to which they belong."""
    conf: Any = current_app.conf
    expires = conf.result_expires
    if settings.retention is None or not settings.store_task_results or not expires or not conf.result_backend:
        return
    seconds = expires.total_seconds() if isinstance(expires, timedelta) else float(expires)
    if seconds < settings.retention * 86_400:
        yield Info(
            f"Celery deletes its own results after {seconds / 86_400:g} days (result_expires), but runs are kept for "
            f"{settings.retention:g} days (TASKTREE['RETENTION']).",
            hint="Nothing is lost: nodes keep their results as long as their runs. Only the admin's links to task "
            "results disappear.",
            id="django_tasktree.I001",
        )


def _is_valid(key: str, value: Any) -> bool:
    if not has_right_type(key, value) or not is_in_range(key, value):
        return False
    return not isinstance(value, str) or _names_a_function(value)


def _names_a_function(value: str) -> bool:
    try:
        return callable(import_string(value))
    except (ImportError, AttributeError):
        return False
