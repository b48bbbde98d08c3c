"""Checks of Celery's settings in the current application."""

from collections.abc import Iterator
from typing import Any

from celery import current_app
from django.conf import settings as django_settings
from django.core import checks
from django.core.checks import CheckMessage

from django_tasktree.encoding import serialization


def connections_are_kept() -> Iterator[CheckMessage]:
    """Check W003: Celery must not close the database connections around every task."""
    if not _conf().get("CELERY_DB_REUSE_MAX") and not getattr(django_settings, "CELERY_DB_REUSE_MAX", None):
        yield checks.Warning(
            "Celery closes every database connection before and after every task, regardless of CONN_MAX_AGE.",
            hint="Set CELERY_DB_REUSE_MAX = 100_000: small tasks become several times as fast.",
            id="django_tasktree.W003",
        )


def results_can_be_pickled() -> Iterator[CheckMessage]:
    """Check W004: Celery must not record a failure of a task whose node has succeeded."""
    conf = _conf()
    if serialization.pickle_accepted() and conf.result_backend and conf.result_serializer == "json":
        yield checks.Warning(
            "Celery accepts pickle, but its result backend writes JSON: if only pickle can hold a result, the node "
            "stores it and succeeds, but Celery's own record of the task says FAILURE.",
            hint="Set CELERY_RESULT_SERIALIZER = 'pickle', or TASKTREE = {'STORE_TASK_RESULTS': False}.",
            id="django_tasktree.W004",
        )


def references_can_be_sent() -> Iterator[CheckMessage]:
    """Check W008: Celery must be able to send messages with references to other nodes' results."""
    conf = _conf()
    if not serialization.json_accepted() and conf.task_serializer not in serialization.WITH_REFERENCES:
        yield checks.Warning(
            f"Celery sends messages as {conf.task_serializer} and does not accept JSON, so that no node can take "
            "another node's result: only JSON and pickle can encode the references.",
            hint="Add 'json' to CELERY_ACCEPT_CONTENT; then only messages with references are sent as JSON.",
            id="django_tasktree.W008",
        )


def nodes_run_in_workers() -> Iterator[CheckMessage]:
    """Check W005: nodes must run in workers in production, not in the process that launches the tree."""
    if _conf().task_always_eager and not django_settings.DEBUG:
        yield checks.Warning(
            "CELERY_TASK_ALWAYS_EAGER is on while DEBUG is off: the process that launches a tree, such as a web "
            "request, runs all of its nodes.",
            hint="Turn it off, except in tests.",
            id="django_tasktree.W005",
        )


def _conf() -> Any:
    return current_app.conf
