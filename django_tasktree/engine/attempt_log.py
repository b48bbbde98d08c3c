"""The log of attempts: the outcome of each attempt at a node except the last, which is stored in the node's row."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django_tasktree.encoding import times
from django_tasktree.engine.backends import backend
from django_tasktree.engine.literals import literals
from django_tasktree.engine.transitions import write_alias
from django_tasktree.models import NodeAttempt
from django_tasktree.states import NODE_FINAL

#: Column of the log -> the column of the node's row from which it is copied.
_SOURCES = {
    "node_id": "id",
    "number": "attempts",
    "task_id": "task_id",
    "worker": "worker",
    "started_at": "started_at",
    "finished_at": "finished_at",
    "outcome": "state",
    "error_type": "error_type",
    "error_message": "error_message",
    "traceback": "traceback",
}
_COPY = f"""
    INSERT INTO {{{{attempt}}}} (id, {", ".join(_SOURCES)})
    SELECT {{random_id}}, {", ".join(_SOURCES.values()).replace("finished_at", "COALESCE(finished_at, %s)")}
    FROM {{{{node}}}} WHERE id IN ({{ids}}) AND started_at IS NOT NULL AND state IN ({literals(NODE_FINAL)})
"""  # noqa: S608  put together from constants


def log_attempt(values: Mapping[str, Any]) -> None:
    """Insert the outcome of an attempt into the log.

    Args:
        values: the columns of the node's row as they would be if this had been the last attempt.
    """
    columns = {column: values[source] for column, source in _SOURCES.items()}
    NodeAttempt.objects.using(write_alias()).create(**columns)


def log_final(ids: list[UUID]) -> None:
    """Copy the outcomes of the last attempts at finished nodes to the log, before the nodes' rows are reset.

    Args:
        ids: the nodes; those that are not finished or had no attempt are left out.
    """
    database = backend()
    statement = _COPY.format(random_id=database.random_id, ids=", ".join(["%s"] * len(ids)))
    database.execute(statement, times.now(), *ids)
