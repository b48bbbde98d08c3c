"""The project's settings: the dict ``TASKTREE`` in Django's settings.

Each attribute of :data:`settings` is a key of the dict in lower case; :class:`Defaults` lists them all, with their
types.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, cast, get_args

from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed


@dataclass(frozen=True)
class Defaults:
    """All settings with their defaults."""

    #: How often a node whose worker was lost is delivered at most, the first delivery included.
    max_deliveries: int = 3
    #: Whether Celery's result backend stores the results of nodes too. The node's row stores them in any case, so tasks
    #: are faster without it. The option ``ignore_result`` of a node takes precedence.
    store_task_results: bool = True
    #: How many runs may be nested: a run that no node has started is at depth 0, its sub-runs at depth 1.
    max_run_depth: int = 20
    #: The number of rows in one INSERT or UPDATE, and of messages in one batch for the broker.
    batch_size: int = 500
    #: The maximum number of characters of a node's args or kwargs, and of its result, as text; None for no limit.
    max_args_size: int | None = 1_000_000
    max_result_size: int | None = 16_000_000
    #: How long a worker process continues with other queued nodes of the run, without a message for each of them, in
    #: seconds from the start of a message's node. 0: each node has a message of its own.
    share_message_for: float = 0.2
    #: The interval at which a waiting caller reads the database, in seconds: the first interval and the longest.
    wait_interval: float = 0.005
    wait_interval_max: float = 0.25
    #: Whether processes in which callers wait open a connection to PostgreSQL on which they are notified of ends.
    listen: bool = True
    #: The interval of a worker's heartbeats, and the time without a heartbeat after which it is lost, in seconds.
    heartbeat_interval: float = 5
    worker_lost_after: float = 30
    #: The age, in days since its end, at which the sweep deletes a run and its rows; None keeps all runs.
    retention: float | None = None
    #: Whether to keep runs that failed or were revoked, and whether to delete Celery's TaskResult rows too.
    retention_keep_failed: bool = False
    retention_task_results: bool = False
    #: How long to retry after transient errors of the database, in seconds.
    database_retry_for: float = 30
    #: Whether workers sweep, and the interval between two passes of all workers, in seconds.
    sweep: bool = True
    sweep_interval: float = 10
    #: How long a node waits for a worker until the sweep checks whether its message is lost, in seconds.
    resend_after: float = 30
    #: How long it waits until its message is sent again even if nothing shows whether it is lost, in seconds.
    resend_blindly_after: float = 3600
    #: How long a message is sent back to its queue if no worker has its task, in seconds: workers with newer code may
    #: start.
    unknown_task_retry_for: float = 300
    #: Who may see a run in views, and who may control it: functions of the request and the run, or their dotted paths.
    may_view_run: str | Callable[..., bool] = "django_tasktree.views.access.default_may_view_run"
    may_control_run: str | Callable[..., bool] = "django_tasktree.views.access.default_may_control_run"
    #: How long a signed link to a run's progress is valid, in seconds.
    progress_link_max_age: float = 7 * 86_400
    #: Whether wait nodes can be completed by signed links, and how long such a link is valid at most, in seconds.
    completion_links: bool = True
    completion_link_max_age: float = 30 * 86_400


class Settings:
    """The values of Django's setting ``TASKTREE``, or else those of :class:`Defaults`.

    Each value is read once. ``override_settings`` has an effect, because Django's signal ``setting_changed`` makes this
    object forget all values.
    """

    def __getattr__(self, name: str) -> Any:
        """Read a setting that was not read before.

        Raises:
            ImproperlyConfigured: if ``TASKTREE`` is no dict, contains an unknown key, or this setting has a value of a
                wrong type. Not all processes run the system checks, which report these and other faults.
        """
        key = name.upper()
        if key not in KEYS:
            raise AttributeError(name)
        values = getattr(django_settings, "TASKTREE", {})
        if not isinstance(values, dict):
            raise ImproperlyConfigured(f"TASKTREE is {values!r}: it must be a dict of settings")
        unknown = [given for given in values if given not in KEYS]
        if unknown:
            raise ImproperlyConfigured(
                f"TASKTREE has no setting {unknown[0]!r}; its settings are {', '.join(sorted(KEYS))}"
            )
        value = values.get(key, KEYS[key])
        if not has_right_type(key, value):
            raise invalid_setting(key, value)
        vars(self)[name] = value
        return value


#: key -> default.
KEYS: dict[str, Any] = {field.name.upper(): field.default for field in fields(Defaults)}
#: key -> the types that its values may have.
_TYPES: dict[str, tuple[Any, ...]] = {
    field.name.upper(): get_args(field.type) or (field.type,) for field in fields(Defaults)
}
#: Settings that may be 0.
_FROM_ZERO = {"RETENTION", "DATABASE_RETRY_FOR", "SHARE_MESSAGE_FOR"}


def has_right_type(key: str, value: Any) -> bool:
    """Return whether a value has the type of a setting."""
    types = _TYPES[key]
    if value is None:
        return type(None) in types
    if str in types:
        return isinstance(value, str) or callable(value)
    if isinstance(value, bool) or bool in types:
        return isinstance(value, bool) and bool in types
    return isinstance(value, int if int in types else (int, float))


def is_in_range(key: str, value: Any) -> bool:
    """Return whether a value of the right type is in the range of a setting; values other than numbers always are."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return True
    return value > 0 or (value == 0 and key in _FROM_ZERO)


def invalid_setting(key: str, value: Any) -> ImproperlyConfigured:
    """Return the error for a value that a setting can't have."""
    return ImproperlyConfigured(f"TASKTREE[{key!r}] is {value!r}: it must be {valid_values(key)}")


def valid_values(key: str) -> str:
    """Return a description of the valid values of a setting."""
    types = _TYPES[key]
    if str in types:
        return "a function of a request and a run, or its dotted path"
    if bool in types:
        return "True or False"
    least = "of at least 0" if key in _FROM_ZERO else "above 0"
    optional = ", or None" if type(None) in types else ""
    number = "number of days" if key == "RETENTION" else "whole number" if int in types else "number"
    return f"a {number} {least}{optional}"


#: Has what :class:`Defaults` has, of the same types; the values are the project's.
settings: Defaults = cast("Defaults", Settings())


def _forget(*, setting: str, **_: Any) -> None:
    if setting == "TASKTREE":
        vars(settings).clear()


setting_changed.connect(_forget, dispatch_uid="django_tasktree.conf")
