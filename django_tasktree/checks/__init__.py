"""System checks: what in a project's settings would make trees slow, or fail them, told by ``manage.py check``.

Each has a number that never changes its meaning; docs/checks.rst lists them.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from django.apps import AppConfig
from django.core.checks import CheckMessage, register

from django_tasktree.checks import celery_settings, databases, definitions, own_settings, urls

#: Each yields what it finds.
CHECKS = (
    own_settings.settings_can_be_read,
    own_settings.lost_workers_are_told_from_living_ones,
    own_settings.results_outlive_their_runs,
    databases.one_alias_for_all,
    databases.atomic_tasks_write_beside_their_nodes,
    databases.sqlite_waits_for_its_writer,
    databases.mysql_reads_what_is_committed,
    celery_settings.connections_are_kept,
    celery_settings.results_can_be_pickled,
    celery_settings.references_can_be_sent,
    celery_settings.nodes_run_in_workers,
    definitions.definitions_use_citizens,
    urls.urls_are_included,
)


def check_all(app_configs: Sequence[AppConfig] | None = None, **_options: Any) -> list[CheckMessage]:
    """Run them all; whatever apps were asked for, they are about the project.

    Args:
        app_configs: the apps that are checked; None for all.
    """
    if app_configs is not None and not any(config.name == "django_tasktree" for config in app_configs):
        return []
    return list(_found())


def _found() -> Iterable[CheckMessage]:
    readable = True
    for check in CHECKS:
        # What can't be read can't be looked at any further.
        if not readable and check.__module__ == own_settings.__name__:
            continue
        for message in check():
            readable = readable and message.id != own_settings.UNREADABLE
            yield message


def connect() -> None:
    """Register them with Django."""
    register(check_all)
