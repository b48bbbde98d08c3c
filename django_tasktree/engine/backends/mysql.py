"""MySQL and MariaDB."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction

from django_tasktree.encoding import times
from django_tasktree.engine.backends.base import (
    FIND_TAKEABLE,
    LOCK_WAIT,
    MAX_STATEMENT_TIME,
    SET_TAKEN,
    TAKE,
    Backend,
    look_at_node_sql,
    look_at_run_sql,
    takeable_values,
    taken_values,
)
from django_tasktree.engine.types import Dispatch, Taker
from django_tasktree.models import NodeRun

_SKIP = " FOR UPDATE SKIP LOCKED"
_MARIADB = f"SET SESSION innodb_lock_wait_timeout = {LOCK_WAIT}, max_statement_time = {MAX_STATEMENT_TIME}"
# max_execution_time of MySQL limits only SELECT statements.
_MYSQL = f"SET SESSION innodb_lock_wait_timeout = {LOCK_WAIT}, max_execution_time = {MAX_STATEMENT_TIME * 1000}"


class MySQL(Backend):
    """MySQL and MariaDB."""

    # UUID() alone contains the time, and MySQL may evaluate it once for all rows: hash it with the ID. MariaDB's UUID
    # type accepts only UUIDs with a version and a variant: insert them.
    random_id = "INSERT(INSERT(MD5(CONCAT(UUID(), id)), 13, 1, '4'), 17, 1, '8')"
    look_at_node_statement = look_at_node_sql(" AND other.run_id = parent.run_id")
    look_at_run_statement = look_at_run_sql("")
    share_lock = "LOCK IN SHARE MODE"

    def now(self) -> datetime:
        """See :meth:`Backend.now`. The query asks for UTC, as the default is the time zone of the session."""
        now: datetime = self.rows("SELECT UTC_TIMESTAMP(6)")[0][0]
        return times.as_stored(now.replace(tzinfo=times.UTC))

    def take(self, taker: Taker, most: int, after: UUID, at: datetime) -> list[Dispatch]:
        """See :meth:`Backend.take`. Old versions of MariaDB wait for nodes that another transaction has locked."""
        TAKE.check()
        find = FIND_TAKEABLE + (_SKIP if self.connection.features.has_select_for_update_skip_locked else " FOR UPDATE")
        with transaction.atomic(using=self.connection.alias):
            ids = [key for (key,) in self.rows(find, *takeable_values(taker, most, after))]
            if not ids:
                return []
            keys = ", ".join(["%s"] * len(ids))
            self.execute(f"UPDATE {{node}} SET {SET_TAKEN} WHERE id IN ({keys})", *taken_values(taker, at), *ids)  # noqa: S608
        return self.taken_at(taker, at)

    def limited_statements(self) -> AbstractContextManager[Any]:
        """See :meth:`Backend.limited_statements`. The connection keeps the limits after the block."""
        return self.connection.execute_wrapper(_PerConnection())

    def detach_children(self, ids: list[UUID], keys: str) -> None:
        """Detach all children, as MariaDB checks the foreign key row by row; see :meth:`Backend.detach_children`."""
        self.execute(f"UPDATE {NodeRun._meta.db_table} SET parent_id = NULL WHERE parent_id IN ({keys})", *ids)  # noqa: S608


class _PerConnection:
    """Set the limits of a connection before its first statement in the block."""

    def __init__(self) -> None:
        self._limited: Any = None

    def __call__(self, execute: Callable[..., Any], statement: Any, params: Any, many: bool, context: Any) -> Any:
        connection = context["connection"]
        if self._limited is not connection.connection:
            self._limited = connection.connection
            with connection.wrap_database_errors:
                cursor = connection.connection.cursor()
                cursor.execute(_MARIADB if connection.mysql_is_mariadb else _MYSQL)
                cursor.close()
        return execute(statement, params, many, context)
