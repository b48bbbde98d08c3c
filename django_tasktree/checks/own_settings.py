"""Checks of the setting ``TASKTREE``."""

from collections.abc import Iterator
from dataclasses import fields
from datetime import timedelta
from difflib import get_close_matches
from typing import Any, get_args

from celery import current_app
from django.conf import settings as django_settings
from django.core.checks import CheckMessage, Error, Info
from django.utils.module_loading import import_string

from django_tasktree.conf import Defaults, settings

UNREADABLE = "django_tasktree.E001"
#: key -> the types that its values may have.
_KEYS: dict[str, tuple[Any, ...]] = {
    field.name.upper(): get_args(field.type) or (field.type,) for field in fields(Defaults)
}
#: Settings that may be 0.
_FROM_ZERO = {"RETENTION", "DATABASE_RETRY_FOR"}


def settings_can_be_read() -> Iterator[CheckMessage]:
    """Check E001: all settings must exist and have values of the right type."""
    values = getattr(django_settings, "TASKTREE", {})
    if not isinstance(values, dict):
        yield Error(f"TASKTREE is {values!r}, not a dict.", hint="See docs/settings.rst.", id=UNREADABLE)
        return
    for key, value in values.items():
        if key not in _KEYS:
            near = get_close_matches(str(key).upper(), _KEYS, n=1)
            hint = f"Did you mean {near[0]!r}?" if near else f"Its settings are {', '.join(sorted(_KEYS))}."
            yield Error(f"TASKTREE has no setting {key!r}.", hint=hint, id=UNREADABLE)
        elif (expected := _expected(key, value)) is not None:
            yield Error(f"TASKTREE[{key!r}] is {value!r}.", hint=f"It must be {expected}.", id=UNREADABLE)


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


def _expected(key: str, value: Any) -> str | None:
    """Return a description of a setting's valid values; None if the value is valid."""
    kinds = _KEYS[key]
    if str in kinds:
        return None if _names_a_function(value) else "a function of a request and a run, or its dotted path"
    if bool in kinds:
        return None if isinstance(value, bool) else "True or False"
    fits = value is None if type(None) in kinds else False
    if isinstance(value, int if int in kinds else (int, float)) and not isinstance(value, bool):
        fits = value > 0 or (value == 0 and key in _FROM_ZERO)
    if fits:
        return None
    least = "of at least 0" if key in _FROM_ZERO else "above 0"
    optional = ", or None" if type(None) in kinds else ""
    return f"a {'whole number' if int in kinds else 'number'} {least}{optional}"


def _names_a_function(value: Any) -> bool:
    if callable(value):
        return True
    try:
        return callable(import_string(value))
    except (ImportError, AttributeError):
        return False
