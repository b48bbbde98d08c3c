"""System checks: ``manage.py check`` reports settings of a project that would make trees slow or let them fail.

Each check has a number whose meaning never changes; docs/checks.rst lists them.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from django.apps import AppConfig
from django.core.checks import CheckMessage, register

from django_tasktree.checks import celery_settings, databases, definitions, own_settings, tasks, urls

#: The checks; each is a generator of messages.
CHECKS = (
    own_settings.settings_can_be_read,
    own_settings.worker_lost_after_exceeds_heartbeats,
    own_settings.results_outlive_their_runs,
    databases.one_alias_for_all,
    databases.atomic_tasks_write_beside_their_nodes,
    databases.sqlite_waits_for_its_writer,
    databases.mysql_reads_what_is_committed,
    celery_settings.connections_are_kept,
    celery_settings.results_can_be_pickled,
    celery_settings.references_can_be_sent,
    celery_settings.nodes_run_in_workers,
    definitions.definitions_use_supported_tasks,
    tasks.chunks_are_possible,
    urls.urls_are_included,
)


def check_all(app_configs: Sequence[AppConfig] | None = None, **_options: Any) -> list[CheckMessage]:
    """Return the messages of all checks, or none if only other apps are checked.

    Args:
        app_configs: the apps to check; None for all.
    """
    if app_configs is not None and not any(config.name == "django_tasktree" for config in app_configs):
        return []
    return list(_messages())


def _messages() -> Iterable[CheckMessage]:
    readable = True
    for check in CHECKS:
        # The other checks of TASKTREE can't read the settings if they are invalid.
        if not readable and check.__module__ == own_settings.__name__:
            continue
        for message in check():
            readable = readable and message.id != own_settings.UNREADABLE
            yield message


def connect() -> None:
    """Register the checks with Django."""
    register(check_all)
