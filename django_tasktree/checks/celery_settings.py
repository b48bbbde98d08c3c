"""Celery's settings, as the current application has them."""

from collections.abc import Iterator
from typing import Any

from celery import current_app
from django.conf import settings as django_settings
from django.core import checks
from django.core.checks import CheckMessage


def connections_are_kept() -> Iterator[CheckMessage]:
    """W003: a new connection to the database before and after every task."""
    if not _conf().get("CELERY_DB_REUSE_MAX") and not getattr(django_settings, "CELERY_DB_REUSE_MAX", None):
        yield checks.Warning(
            "Celery closes every database connection before and after every task, whatever CONN_MAX_AGE says.",
            hint="Set CELERY_DB_REUSE_MAX = 100_000: small tasks become several times as fast.",
            id="django_tasktree.W003",
        )


def results_can_be_pickled() -> Iterator[CheckMessage]:
    """W004: Celery would record a failure of a task whose node has succeeded."""
    conf = _conf()
    accepts_pickle = {"pickle", "application/x-python-serialize"} & set(conf.accept_content or ())
    if accepts_pickle and conf.result_backend and conf.result_serializer == "json":
        yield checks.Warning(
            "Celery accepts pickle, but its result backend writes JSON: a result that only pickle can hold is kept by "
            "its node, while Celery's own record says FAILURE.",
            hint="Set CELERY_RESULT_SERIALIZER = 'pickle', or TASKTREE = {'STORE_TASK_RESULTS': False}.",
            id="django_tasktree.W004",
        )


def references_can_be_sent() -> Iterator[CheckMessage]:
    """W008: messages that pass other nodes' results on can't be sent."""
    conf = _conf()
    accepted = set(conf.accept_content or ())
    if not accepted & {"json", "application/json"} and conf.task_serializer not in ("json", "pickle"):
        yield checks.Warning(
            f"Celery sends messages as {conf.task_serializer} and does not accept JSON, so that no node can take "
            "another node's result: only JSON and pickle can hold the references.",
            hint="Add 'json' to CELERY_ACCEPT_CONTENT; only messages with references are then sent as JSON.",
            id="django_tasktree.W008",
        )


def nodes_run_in_workers() -> Iterator[CheckMessage]:
    """W005: a web request would run whole trees."""
    if _conf().task_always_eager and not django_settings.DEBUG:
        yield checks.Warning(
            "CELERY_TASK_ALWAYS_EAGER is on while DEBUG is off: whoever launches a tree waits until all of it has run.",
            hint="Turn it off, except for tests.",
            id="django_tasktree.W005",
        )


def _conf() -> Any:
    return current_app.conf
