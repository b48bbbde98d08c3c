"""Run the statements that each node costs without compiling them anew.

The ORM takes several times as long to make one of these statements as a database to run it; so the few that every node
costs are written out, in SQL that all supported databases share. Everything else goes through the ORM.
"""

from collections.abc import Callable
from datetime import datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from django_tasktree import times
from django_tasktree.engine.moves import write_alias
from django_tasktree.models import NodeAttempt, NodeRun, TreeRun


def connection() -> BaseDatabaseWrapper:
    """The connection that the engine writes on."""
    return connections[write_alias()]


def execute(sql: str, *values: Any) -> int:
    """Run a statement.

    Args:
        sql: with ``{node}``, ``{run}`` and ``{attempt}`` for the tables' names, and ``%s`` for each value.
        *values: UUIDs and datetimes are adapted to the database.

    Returns:
        The number of rows that it matched.
    """
    database = connection()
    with database.cursor() as cursor:
        cursor.execute(_with_tables(sql), _adapted(database, values))
        return int(cursor.rowcount)


def rows(sql: str, *values: Any) -> list[tuple[Any, ...]]:
    """Run a query; see :func:`execute`."""
    database = connection()
    with database.cursor() as cursor:
        cursor.execute(_with_tables(sql), _adapted(database, values))
        found: list[tuple[Any, ...]] = cursor.fetchall()
        return found


def as_uuid(value: Any) -> UUID:
    """Read a UUID column: text where the database has no type for it."""
    return value if isinstance(value, UUID) else UUID(value)


@lru_cache(maxsize=64)
def _with_tables(sql: str) -> str:
    return sql.format(node=NodeRun._meta.db_table, run=TreeRun._meta.db_table, attempt=NodeAttempt._meta.db_table)


def _adapted(database: BaseDatabaseWrapper, values: tuple[Any, ...]) -> list[Any]:
    return [_ADAPTERS[type(value)](database, value) if type(value) in _ADAPTERS else value for value in values]


def _uuid(database: BaseDatabaseWrapper, value: UUID) -> Any:
    return value if database.features.has_native_uuid_field else value.hex


def _datetime(database: BaseDatabaseWrapper, value: datetime) -> Any:
    return times.for_database(value, database)


_ADAPTERS: dict[type, Callable[[BaseDatabaseWrapper, Any], Any]] = {UUID: _uuid, datetime: _datetime}
