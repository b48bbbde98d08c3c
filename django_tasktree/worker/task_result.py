"""The ``TaskResult`` of a node that succeeded, written together with the node's outcome.

django-celery-results (2.6) takes a transaction of four statements: a SELECT, then an INSERT within a savepoint. That is
more than everything else that a leaf costs. Where its own database backend is in use, the engine writes the same row
beside the outcome, so the two also never disagree.
"""

import logging
import threading
from copy import copy
from typing import Any
from weakref import WeakKeyDictionary

from celery import states
from django.apps import apps
from django.db import connections, router
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Model
from django.db.models.constants import OnConflict

from django_tasktree import times
from django_tasktree.engine.moves import write_alias
from django_tasktree.engine.specs import Beside
from django_tasktree.text import text_of

logger = logging.getLogger(__name__)

_DATES = ("date_created", "date_done")
#: For each backend in use its twin, which hands out the columns that it would store.
_twins: "WeakKeyDictionary[Any, Any]" = WeakKeyDictionary()
_statements: dict[tuple[str, tuple[str, ...]], tuple[str, str]] = {}


def success_row(task: Any, value: Any) -> Beside | None:
    """Make the row by which Celery would record what a body returned.

    Args:
        task: the task instance, with the message's request.
        value: what the body returned.

    Returns:
        None where nothing is to be stored, and where that is Celery's own affair: any other backend, one that somebody
        has derived from this one, rows in another database than the nodes, a value that the backend can't encode
        (Celery then records a failure of the task, though the node has succeeded and has the value).
    """
    request = task.request
    # Where the task and the message disagree on whether the result is wanted, Celery decides.
    if request.is_eager or request.chord or task.ignore_result or request.ignore_result or not _is_plain(task.backend):
        return None
    alias = router.db_for_write(_model())
    if alias != write_alias():
        return None
    try:
        columns = _columns(task, value)
    except Exception as exc:  # noqa: BLE001  the value is the task's, and its node has it already
        logger.warning(
            "task %s[%s]: its node holds the result, but Celery's result backend can't encode it (%s): set "
            "CELERY_RESULT_SERIALIZER = 'pickle', or store no such results (ignore_result=True)",
            task.name,
            request.id,
            text_of(exc),
        )
        return None
    database = connections[alias]
    # The columns are Django's own type, not that of this app's times.
    now = database.ops.adapt_datetimefield_value(times.now())
    insert, on_conflict = _statement(database, tuple(columns))
    return Beside(insert, (*columns.values(), *[now for _ in _DATES]), on_conflict)


def _is_plain(backend: Any) -> bool:
    """Tell whether it is django-celery-results' own, with its own model and manager."""
    cls = type(backend)
    if (cls.__module__, cls.__name__) != ("django_celery_results.backends.database", "DatabaseBackend"):
        return False
    return backend.TaskModel is _model() and type(_model()._default_manager).__name__ == "TaskResultManager"


def _model() -> type[Model]:
    return apps.get_model("django_celery_results", "TaskResult")


class _Catcher(threading.local):
    """Stands for the backend's model and its manager: keeps the columns of the row instead of storing it."""

    def __init__(self) -> None:
        self._default_manager = self
        self.columns: dict[str, Any] = {}

    def store_result(self, using: Any = None, **columns: Any) -> None:  # noqa: ARG002  the manager's own signature
        self.columns = columns


def _columns(task: Any, value: Any) -> dict[str, Any]:
    """Let the backend itself encode the value, and what else it keeps of a request."""
    twin = _twins.get(task.backend)
    if twin is None:
        twin = _twins[task.backend] = copy(task.backend)
        twin.TaskModel = _Catcher()
    twin.store_result(task.request.id, value, states.SUCCESS, request=task.request)
    columns: dict[str, Any] = twin.TaskModel.columns
    return columns


def _statement(database: BaseDatabaseWrapper, names: tuple[str, ...]) -> tuple[str, str]:
    key = (database.alias, names)
    if key not in _statements:
        _statements[key] = _upsert(database, [*names, *_DATES])
    return _statements[key]


def _upsert(database: BaseDatabaseWrapper, names: list[str]) -> tuple[str, str]:
    meta, quote = _model()._meta, database.ops.quote_name
    fields = [meta.get_field(name) for name in names]
    columns = {field.name: str(field.column) for field in fields}  # type: ignore[union-attr]
    on_conflict = database.ops.on_conflict_suffix_sql(
        fields=fields,
        on_conflict=OnConflict.UPDATE,
        update_fields=[column for name, column in columns.items() if name != "date_created"],
        unique_fields=[columns["task_id"]],
    )
    return f"INSERT INTO {quote(meta.db_table)} ({', '.join(map(quote, columns.values()))})", on_conflict
