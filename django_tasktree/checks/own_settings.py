"""The dict ``TASKTREE``."""

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
    """E001: a setting that is unknown, or has a value of a wrong kind."""
    values = getattr(django_settings, "TASKTREE", {})
    if not isinstance(values, dict):
        yield Error(f"TASKTREE is {values!r}, not a dict.", hint="See docs/settings.rst.", id=UNREADABLE)
        return
    for key, value in values.items():
        if key not in _KEYS:
            near = get_close_matches(str(key).upper(), _KEYS, n=1)
            hint = f"Did you mean {near[0]!r}?" if near else f"It knows {', '.join(sorted(_KEYS))}."
            yield Error(f"TASKTREE has no setting {key!r}.", hint=hint, id=UNREADABLE)
        elif (wanted := _wanted(key, value)) is not None:
            yield Error(f"TASKTREE[{key!r}] is {value!r}.", hint=f"It takes {wanted}.", id=UNREADABLE)


def lost_workers_are_told_from_living_ones() -> Iterator[CheckMessage]:
    """E002: workers would be taken for lost between two heartbeats."""
    if settings.worker_lost_after < 2 * settings.heartbeat_interval:
        yield Error(
            f"TASKTREE['WORKER_LOST_AFTER'] ({settings.worker_lost_after:g} s) is less than twice HEARTBEAT_INTERVAL "
            f"({settings.heartbeat_interval:g} s): a worker would be taken for lost when one heartbeat is late.",
            hint="Let several heartbeats fit into WORKER_LOST_AFTER; by default six do.",
            id="django_tasktree.E002",
        )


def results_outlive_their_runs() -> Iterator[CheckMessage]:
    """I001: Celery's own records go before the runs that they belong to."""
    conf: Any = current_app.conf
    expires = conf.result_expires
    if settings.retention is None or not settings.store_task_results or not expires or not conf.result_backend:
        return
    seconds = expires.total_seconds() if isinstance(expires, timedelta) else float(expires)
    if seconds < settings.retention * 86_400:
        yield Info(
            f"Celery deletes its own results after {seconds / 86_400:g} days (result_expires), runs stay for "
            f"{settings.retention:g} (TASKTREE['RETENTION']).",
            hint="Nothing is lost: a node keeps its result as long as its run. The admin's links to task results end.",
            id="django_tasktree.I001",
        )


def _wanted(key: str, value: Any) -> str | None:
    """Say what a setting takes, where the value is something else."""
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
