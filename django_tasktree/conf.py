"""The project's settings: the dict ``TASKTREE`` in Django's settings.

Each attribute of :data:`settings` is a key of the dict in lower case; :class:`Defaults` lists them all, with their
types.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, cast

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
    #: The number of rows in one INSERT or UPDATE, and of messages in one batch for the broker.
    batch_size: int = 500
    #: The maximum number of characters of a node's args or kwargs, and of its result, as text; None for no limit.
    max_args_size: int | None = 1_000_000
    max_result_size: int | None = 16_000_000
    #: The interval at which a waiting caller reads the database, in seconds: the first interval and the longest.
    wait_interval: float = 0.005
    wait_interval_max: float = 0.25
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
    may_view_run: str | Callable[..., bool] = "django_tasktree.views.access.default_can_view_run"
    may_control_run: str | Callable[..., bool] = "django_tasktree.views.access.may_control"
    #: How long a signed link to a run's progress is valid, in seconds.
    progress_link_max_age: float = 7 * 86_400


class Settings:
    """The values of Django's setting ``TASKTREE``, or else those of :class:`Defaults`.

    Each value is read once. ``override_settings`` has an effect, because Django's signal ``setting_changed`` makes this
    object forget all values.
    """

    def __getattr__(self, name: str) -> Any:
        """Read a setting that was not read before.

        Raises:
            ImproperlyConfigured: if ``TASKTREE`` contains an unknown key.
        """
        values = getattr(django_settings, "TASKTREE", {})
        unknown = sorted(set(values) - _KEYS.keys())
        if unknown:
            raise ImproperlyConfigured(
                f"TASKTREE has no setting {unknown[0]!r}; its settings are {', '.join(sorted(_KEYS))}"
            )
        try:
            value = values.get(name.upper(), _KEYS[name.upper()])
        except KeyError:
            raise AttributeError(name) from None
        vars(self)[name] = value
        return value


_KEYS: dict[str, Any] = {field.name.upper(): field.default for field in fields(Defaults)}

#: Has what :class:`Defaults` has, of the same types; the values are the project's.
settings: Defaults = cast("Defaults", Settings())


def _forget(*, setting: str, **_: Any) -> None:
    if setting == "TASKTREE":
        vars(settings).clear()


setting_changed.connect(_forget, dispatch_uid="django_tasktree.conf")
