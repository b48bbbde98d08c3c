"""The ``TaskResult`` row of a node that succeeded, stored together with the node's outcome.

The backend of django-celery-results (2.6) needs a transaction of four statements: a SELECT, then an INSERT in a
savepoint. That costs more than all other statements of a leaf node. If its unmodified database backend is in use, the
engine writes the same row in the transaction that stores the outcome, so that the two never disagree either.
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

from django_tasktree.encoding import times
from django_tasktree.encoding.text import text_of
from django_tasktree.engine.transitions import write_alias
from django_tasktree.engine.types import CompanionRow

logger = logging.getLogger(__name__)

_DATES = ("date_created", "date_done")
#: Backend -> a copy of it that records the columns which it would store.
_shadow_backends: "WeakKeyDictionary[Any, Any]" = WeakKeyDictionary()
_statements: dict[tuple[str, tuple[str, ...]], tuple[str, str, tuple[str, ...]]] = {}


def success_row(task: Any, value: Any) -> CompanionRow | None:
    """Return the row with which Celery would record a task's return value.

    Args:
        task: the task instance, with the message's request.
        value: the return value of the task function.

    Returns:
        None if no result is to be stored, or if Celery must store it: with any other backend, also one derived from
        this one; with rows in another database than the nodes; or if the backend can't encode the value. (In the last
        case Celery records a failure of the task, although the node has succeeded and has the value.)
    """
    request = task.request
    # If only one of the task and the message says that the result is to be ignored, Celery decides.
    if request.is_eager or request.chord or task.ignore_result or request.ignore_result or not _is_plain(task.backend):
        return None
    alias = router.db_for_write(_model())
    if alias != write_alias():
        return None
    try:
        columns = _columns(task, value)
    except Exception as exc:  # noqa: BLE001  any value may be returned, and the node stores it in any case
        logger.warning(
            "task %s[%s]: Celery's result backend can't encode the result (%s), which the node itself stores: set "
            "CELERY_RESULT_SERIALIZER = 'pickle', or ignore_result=True on the task",
            task.name,
            request.id,
            text_of(exc),
        )
        return None
    database = connections[alias]
    # The columns are plain DateTimeFields, not this app's InstantFields.
    now = database.ops.adapt_datetimefield_value(times.now())
    insert, on_conflict, placeholders = _statement(database, tuple(columns))
    return CompanionRow(insert, (*columns.values(), *[now for _ in _DATES]), on_conflict, placeholders)


def _is_plain(backend: Any) -> bool:
    """Return whether a backend is that of django-celery-results, with its own model and manager."""
    cls = type(backend)
    if (cls.__module__, cls.__name__) != ("django_celery_results.backends.database", "DatabaseBackend"):
        return False
    return backend.TaskModel is _model() and type(_model()._default_manager).__name__ == "TaskResultManager"


def _model() -> type[Model]:
    return apps.get_model("django_celery_results", "TaskResult")


class _RecordingManager(threading.local):
    """Takes the place of the backend's model and manager: keeps the columns of a row instead of storing it."""

    def __init__(self) -> None:
        self._default_manager = self
        self.columns: dict[str, Any] = {}

    def store_result(self, using: Any = None, **columns: Any) -> None:  # noqa: ARG002  the manager's own signature
        self.columns = columns


def _columns(task: Any, value: Any) -> dict[str, Any]:
    """Return the columns of the row, encoded by a copy of the backend itself."""
    shadow = _shadow_backends.get(task.backend)
    if shadow is None:
        shadow = _shadow_backends[task.backend] = copy(task.backend)
        shadow.TaskModel = _RecordingManager()
    shadow.store_result(task.request.id, value, states.SUCCESS, request=task.request)
    columns: dict[str, Any] = shadow.TaskModel.columns
    return columns


def _statement(database: BaseDatabaseWrapper, names: tuple[str, ...]) -> tuple[str, str, tuple[str, ...]]:
    key = (database.alias, names)
    if key not in _statements:
        _statements[key] = _upsert(database, [*names, *_DATES])
    return _statements[key]


def _upsert(database: BaseDatabaseWrapper, names: list[str]) -> tuple[str, str, tuple[str, ...]]:
    meta, quote = _model()._meta, database.ops.quote_name
    fields = [meta.get_field(name) for name in names]
    columns = {field.name: str(field.column) for field in fields}  # type: ignore[union-attr]
    on_conflict = database.ops.on_conflict_suffix_sql(
        fields=fields,
        on_conflict=OnConflict.UPDATE,
        update_fields=[column for name, column in columns.items() if name != "date_created"],
        unique_fields=[columns["task_id"]],
    )
    insert = f"INSERT INTO {quote(meta.db_table)} ({', '.join(map(quote, columns.values()))})"
    return insert, on_conflict, tuple(_placeholder(field, database) for field in fields)


def _placeholder(field: Any, database: BaseDatabaseWrapper) -> str:
    """Return the placeholder of a value in a list of rows, whose types PostgreSQL can't infer from the table."""
    if database.vendor != "postgresql":
        return "%s"
    kind = str(field.db_type(database))
    # A cast to varchar(n) would cut a longer text; the table refuses it.
    return f"%s::{'text' if kind.startswith('varchar') else kind}"
