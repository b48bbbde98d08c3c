"""Checks of the database to which trees are written."""

from collections.abc import Iterator
from typing import Any

from celery import current_app
from django.apps import apps
from django.core import checks
from django.core.checks import CheckMessage, Error
from django.db import connections, router
from django.db.models import Model

from django_tasktree.engine.transitions import write_alias


def one_alias_for_all() -> Iterator[CheckMessage]:
    """Check E003: all models of the app must be in one database, because each step is one transaction."""
    models = list(apps.get_app_config("django_tasktree").get_models())
    aliases = {model.__name__: router.db_for_write(model) for model in models}
    if len(set(aliases.values())) > 1:
        listed = ", ".join(f"{name}: {alias}" for name, alias in sorted(aliases.items()))
        yield Error(
            f"The database routers send the models of django_tasktree to different databases ({listed}).",
            hint="Give all models of the app the same alias in db_for_write: each step is one transaction.",
            id="django_tasktree.E003",
        )


def atomic_tasks_write_beside_their_nodes() -> Iterator[CheckMessage]:
    """Check W009: an atomic task must write to the database of the nodes."""
    alias = write_alias()
    elsewhere = sorted(model._meta.label for model in _models_of_the_project() if router.db_for_write(model) != alias)
    tasks = sorted(name for name, task in current_app.tasks.items() if getattr(task, "atomic", False) is True)
    if elsewhere and tasks:
        yield checks.Warning(
            f"Nodes are written to the database {alias!r}, but other models are not ({_first_names(elsewhere)}): "
            f"what a task with atomic=True ({_first_names(tasks)}) writes to them is not in one transaction with its "
            "node's outcome.",
            hint="Let such tasks write only to the database of the nodes, or remove atomic=True and make them "
            "idempotent.",
            id="django_tasktree.W009",
        )


def _models_of_the_project() -> Iterator[type[Model]]:
    """Yield the models of apps other than Django's, Celery's and this one."""
    for config in apps.get_app_configs():
        if not config.name.startswith(("django.contrib.", "django_celery_", "django_tasktree")):
            yield from config.get_models()


def _first_names(names: list[str]) -> str:
    """Return the first three names and the number of the others."""
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def sqlite_waits_for_its_writer() -> Iterator[CheckMessage]:
    """Check W001: transactions of several processes must wait for SQLite's single writer."""
    alias, config = _written()
    if config["ENGINE"] != "django.db.backends.sqlite3":
        return
    options = config.get("OPTIONS", {})
    missing = []
    if str(options.get("transaction_mode", "")).upper() not in ("IMMEDIATE", "EXCLUSIVE"):
        missing.append('"transaction_mode": "IMMEDIATE"')
    if "journal_mode=wal" not in str(options.get("init_command", "")).lower().replace(" ", ""):
        missing.append('"init_command": "PRAGMA journal_mode=WAL;"')
    if missing:
        yield checks.Warning(
            f"SQLite, alias {alias!r}, has one writer at a time, and transactions of several processes fail with "
            "“database is locked” instead of waiting.",
            hint=f"Add {' and '.join(missing)} to the OPTIONS of DATABASES[{alias!r}].",
            id="django_tasktree.W001",
        )


def mysql_reads_what_is_committed() -> Iterator[CheckMessage]:
    """Check W002: MySQL and MariaDB must use READ COMMITTED, without gap locks and old snapshots."""
    alias, config = _written()
    if config["ENGINE"] != "django.db.backends.mysql":
        return
    # Django's default.
    level = config.get("OPTIONS", {}).get("isolation_level", "read committed")
    if level is None or str(level).lower() != "read committed":
        yield checks.Warning(
            f"MySQL, alias {alias!r}, runs transactions with the isolation level {level or 'of the server'!r}.",
            hint='Set "isolation_level": "read committed" in its OPTIONS, or siblings that end together deadlock.',
            id="django_tasktree.W002",
        )


def _written() -> tuple[str, dict[str, Any]]:
    """Return the alias of the database to which trees are written, and its settings."""
    alias = write_alias()
    return alias, connections[alias].settings_dict
