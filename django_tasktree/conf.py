"""The project's settings: the dict ``TASKTREE`` in Django's settings, read when asked for.

Each attribute of :data:`settings` is a key of the dict in lower case; :class:`Defaults` lists them all.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured


@dataclass(frozen=True)
class Defaults:
    """Every setting with its default."""

    #: How often a node whose worker was lost is delivered in all, the first time included.
    max_deliveries: int = 3
    #: Whether Celery's result backend stores the results of nodes too. The node's row has them in any case, so without
    #: this a task costs less; a node's own option ``ignore_result`` goes before it.
    store_task_results: bool = True
    #: How many rows go into one INSERT or UPDATE, and how many messages into one batch of the broker.
    batch_size: int = 500
    #: The most characters that the args, or the kwargs, of a node have as text, and its result; None for no limit.
    max_args_size: int | None = 1_000_000
    max_result_size: int | None = 16_000_000
    #: Seconds between two looks at the database while a caller waits: the first, and the longest.
    wait_interval: float = 0.005
    wait_interval_max: float = 0.25
    #: Seconds between two heartbeats of a worker, and without one until it is taken for lost.
    heartbeat_interval: float = 5
    worker_lost_after: float = 30
    #: Days after which a run that has ended is deleted by the sweep, with all that belongs to it; None keeps them all.
    retention: float | None = None
    #: Whether runs that failed or were revoked are kept all the same, and whether Celery's TaskResult rows go too.
    retention_keep_failed: bool = False
    retention_task_results: bool = False
    #: Seconds for which a deadlock, or a database that is away, is borne before the attempt is given up.
    database_retry_for: float = 30
    #: Whether workers sweep, and how many seconds lie between two passes, whichever worker makes them.
    sweep: bool = True
    sweep_interval: float = 10
    #: Seconds after which a node that waits for a worker is looked after: is its message still there?
    resend_after: float = 30
    #: Seconds after which its message is sent again though nobody can tell whether it is still there.
    resend_blindly_after: float = 3600
    #: Seconds for which a message whose task no worker knows is given back, for workers with newer code to come.
    unknown_task_retry_for: float = 300
    #: In views: who may see a run, and who may steer it: functions that take the request and the run, or their paths.
    may_view_run: str | Callable[..., bool] = "django_tasktree.views.access.launched_it_or_may_view"
    may_control_run: str | Callable[..., bool] = "django_tasktree.views.access.may_control"
    #: Seconds for which a signed link to a run's progress is good.
    progress_link_max_age: float = 7 * 86_400


class Settings:
    """``TASKTREE`` of the Django settings laid over :class:`Defaults`."""

    def __getattr__(self, name: str) -> Any:
        """Read one setting, so that ``override_settings`` works at once."""
        values = getattr(django_settings, "TASKTREE", {})
        unknown = sorted(set(values) - _KEYS.keys())
        if unknown:
            raise ImproperlyConfigured(f"TASKTREE has no setting {unknown[0]!r}; it knows {', '.join(sorted(_KEYS))}")
        try:
            return values.get(name.upper(), _KEYS[name.upper()])
        except KeyError:
            raise AttributeError(name) from None


_KEYS: dict[str, Any] = {field.name.upper(): field.default for field in fields(Defaults)}

settings: Any = Settings()
