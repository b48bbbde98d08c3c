"""PostgreSQL, which can chain UPDATEs: it finishes a node with children in one statement instead of a transaction."""

from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache, partial
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from django_tasktree.encoding import times
from django_tasktree.engine.backends.base import (
    FIND_TAKEABLE,
    LOCK_WAIT,
    MAX_STATEMENT_TIME,
    SET_TAKEN,
    SUCCEED,
    TAKE,
    Backend,
    outcome_values,
    takeable_values,
    taken_values,
)
from django_tasktree.engine.backends.insertion import Insertion
from django_tasktree.engine.conditions import NEVER
from django_tasktree.engine.rules import FITS, IS_TASK, MAY_START
from django_tasktree.engine.transitions import SqlMove
from django_tasktree.engine.types import DISPATCH_COLUMNS, CompanionRow, Dispatch, NodeRef, Outcome, Released, Taker
from django_tasktree.states import NodeState

_QUEUED = (NodeState.QUEUED, NodeState.WAITING)
#: The number of rows from which on COPY takes less time than an INSERT.
_COPIED = 10
# One statement, because several could not be prepared.
_LIMITS = (
    f"SELECT set_config('lock_timeout', '{LOCK_WAIT}s', TRUE),"
    f" set_config('statement_timeout', '{MAX_STATEMENT_TIME}s', TRUE)"
)

# There is no condition on child.run_id, for the reason given at base._UNDER_NODE.
_FINISH = """
    WITH finished AS ({write} RETURNING id),
    released AS (
        UPDATE {{node}} child SET
            {state},
            runnable = {fits} AND NOT {free},
            settled = NOT {fits},
            queued_at = CASE WHEN {fits} AND {free} THEN %s END,
            finished_at = CASE WHEN NOT {fits} THEN %s END{take}
        FROM finished, {{run}} run{taker}
        WHERE child.parent_id = %s AND run.id = %s AND {guard} AND {which}
        RETURNING child.position, child.state, {columns}
    )
    {companion}
    SELECT released.* FROM finished LEFT JOIN released ON TRUE ORDER BY released.position
"""
_FREE = MAY_START.sql(node="child", run="run")
_SKIP = ("NOT {fits}", NodeState.SKIPPED)
# The statement evaluates the cases in this order, so from here on the child fits.
_QUEUE = (f"{_FREE} AND {IS_TASK.sql(node='child')}", NodeState.QUEUED)
_WAIT = (_FREE, NodeState.WAITING)
_RELEASE = SqlMove((NodeState.PENDING,), None, (_SKIP, _QUEUE, _WAIT))
_GOES_ON = f"{_FREE} AND child.lane = taker.lane AND {{alone}}"
_RELEASE_AND_TAKE = SqlMove((NodeState.PENDING,), None, (_SKIP, (_GOES_ON, NodeState.STARTED), _QUEUE, _WAIT))
_TAKER = """, (
            SELECT %s::text AS lane, %s::text AS worker, %s::uuid AS worker_id, %s::uuid AS carried_by,
                %s::timestamptz AS at
        ) taker"""
_TAKE_CHILD = """,
            worker = CASE WHEN {takes} THEN taker.worker ELSE child.worker END,
            worker_id = CASE WHEN {takes} THEN taker.worker_id ELSE child.worker_id END,
            carried_by = CASE WHEN {takes} THEN taker.carried_by ELSE child.carried_by END,
            started_at = CASE WHEN {takes} THEN taker.at ELSE child.started_at END,
            attempts = child.attempts + {takes}::int"""
#: Whether no other child of the parent fits. The statement sees the other children as they were before it.
_ALONE = """NOT EXISTS (
                SELECT 1 FROM {{node}} other
                WHERE other.parent_id = child.parent_id AND other.id <> child.id
                    AND other.{guard} AND NOT other.is_gather AND {others_fit}
            )"""
_COLUMNS = ", ".join(f"child.{name}" for name in DISPATCH_COLUMNS)
_WRITE_OUTCOMES = f"""
    WITH finished AS (
        UPDATE {{{{node}}}} node SET {SUCCEED.assignment()}, finished_at = given.at, result = given.result,
            error_type = '', error_message = '', error_args = '', traceback = '',
            settled = TRUE, subtree_failed = FALSE, runnable = FALSE
        FROM unnest(%s::uuid[], %s::uuid[], %s::timestamptz[], %s::text[]) AS given (id, task_id, at, result)
        WHERE node.id = given.id AND node.task_id = given.task_id AND node.child_count = 0 AND node.{SUCCEED.guard()}
        RETURNING node.id
    ){{companion}}
    SELECT id FROM finished
"""  # noqa: S608  put together from constants
_TAKE_NODES = f"""
    WITH takeable AS MATERIALIZED ({FIND_TAKEABLE} FOR UPDATE SKIP LOCKED)
    UPDATE {{node}} child SET {SET_TAKEN} FROM takeable WHERE child.id = takeable.id RETURNING {_COLUMNS}
"""  # noqa: S608  put together from constants
_WRITE = "WITH finished AS ({write} RETURNING id) {insert}"


class PostgreSQL(Backend):
    """PostgreSQL."""

    random_id = "gen_random_uuid()"
    share_lock = "FOR SHARE"

    def insert(self, insertion: Insertion) -> None:
        """Insert rows: many with COPY, if the driver has it (psycopg 3), few with an INSERT, which takes less time."""
        with self.connection.cursor() as cursor:
            if len(insertion.rows) >= _COPIED and hasattr(cursor, "copy"):
                _copy(self.connection, cursor, insertion)
                return
            placeholders = ", ".join([insertion.placeholders] * len(insertion.rows))
            cursor.execute(f"{insertion.insert} {placeholders}", [value for row in insertion.rows for value in row])

    def now(self) -> datetime:
        """See :meth:`Backend.now`. The query asks for UTC, as the default is the time zone of the session."""
        now: datetime = self.rows("SELECT statement_timestamp() AT TIME ZONE 'UTC'")[0][0]
        return times.as_stored(now.replace(tzinfo=times.UTC))

    def limited_statements(self) -> AbstractContextManager[Any]:
        """See :meth:`Backend.limited_statements`.

        The limits are set in each transaction, because a connection pooler would pass limits of a session to other
        clients.
        """
        return self.connection.execute_wrapper(_PerTransaction())

    def take(self, taker: Taker, most: int, after: UUID, at: datetime) -> list[Dispatch]:
        """See :meth:`Backend.take`."""
        TAKE.check()
        found = self.rows(_TAKE_NODES, *takeable_values(taker, most, after), *taken_values(taker, at))
        return sorted(map(Dispatch.of_columns, found), key=lambda dispatch: dispatch.id)

    def write_with_companion(self, statement: str, values: tuple[Any, ...], companion: CompanionRow) -> bool:
        """See :meth:`Backend.write_with_companion`."""
        both = _WRITE.format(write=statement, insert=_insert(companion))
        return self.execute(both, *values, *companion.values) == 1

    def write_outcomes(self, ended: Collection[tuple[NodeRef, Outcome]]) -> set[UUID]:
        """See :meth:`Backend.write_outcomes`. One statement writes all outcomes and their companion rows."""
        SUCCEED.check()
        ordered = sorted(ended, key=lambda pair: pair[0].id)
        columns = [[node.id for node, _ in ordered], [node.task_id for node, _ in ordered]]
        at = [times.for_database(outcome.at, self.connection) for _, outcome in ordered]
        outcomes = [at, [outcome.result for _, outcome in ordered]]
        rows = [(node.id, outcome.companion) for node, outcome in ordered if outcome.companion is not None]
        first = rows[0][1] if rows else None
        if any(row.insert != first.insert for _, row in rows if first is not None):
            return super().write_outcomes(ended)
        insert = "" if first is None else f", companion AS ({_insert_many(first, len(rows))})"
        values = [value for key, row in rows for value in (key, *row.values)]
        found = self.rows(_WRITE_OUTCOMES.format(companion=insert), *columns, *outcomes, *values)
        return {key for (key,) in found}

    def finish_parent(self, node: NodeRef, outcome: Outcome, wanted: SqlMove, taker: Taker | None) -> Released | None:
        """See :meth:`Backend.finish_parent`. The statement does the same as the steps in ``finish`` and ``release``."""
        # Require the known number of children: the statement would not see a child that is being added from outside.
        write = self.outcome_sql(wanted, children=node.child_count)
        values = outcome_values(node, outcome, children=node.child_count)
        if outcome.state == NodeState.SKIPPED:
            return Released(settled=True) if self.execute(write, *values) else None
        # A child that is claimed at once is not queued after it has started.
        now = outcome.at if taker is not None else times.now()
        more = () if outcome.companion is None else outcome.companion.values
        companion = "" if outcome.companion is None else f", companion AS ({_insert(outcome.companion)})"
        takes = taker is not None and not outcome.skip_children
        form = _Form(outcome.state, skip_children=outcome.skip_children, takes=takes, alone=node.child_count == 1)
        taking = (taker.lane, taker.worker, taker.worker_id, taker.carried_by, outcome.at) if takes and taker else ()
        form.release.check()
        rows = self.rows(form.sql(write, companion), *values, now, now, *taking, node.id, node.run_id, *more)
        if not rows:
            return None
        queued = [Dispatch.of_columns(columns) for _, state, *columns in rows if state in _QUEUED]
        taken = [Dispatch.of_columns(columns) for _, state, *columns in rows if state == NodeState.STARTED]
        runnable = any(row[1] == NodeState.PENDING for row in rows)
        return Released(queued, runnable=runnable, taken=taken[0] if taken else None)


def _copy(connection: BaseDatabaseWrapper, cursor: Any, insertion: Insertion) -> None:
    """Execute COPY with everything that surrounds a statement which Django executes: limits, logs, Django's errors."""

    def execute(statement: str, rows: list[tuple[Any, ...]], _many: bool, _context: Any) -> None:
        connection.validate_no_broken_transaction()
        with connection.wrap_database_errors, cursor.copy(statement) as copy:
            for row in rows:
                copy.write_row(row)

    executed: Callable[..., None] = execute
    for wrapper in reversed(connection.execute_wrappers):
        executed = partial(wrapper, executed)
    statement = f"COPY {insertion.table} ({insertion.columns}) FROM STDIN"
    executed(statement, insertion.rows, True, {"connection": connection, "cursor": cursor})


@dataclass(frozen=True, slots=True)
class _Form:
    """A form of the statement that finishes a node with children.

    Attributes:
        state: the final state of the node.
        skip_children: whether all children are skipped.
        takes: whether the process that has run the node goes on with the child if only one fits.
        alone: whether the node has no more than one child.
    """

    state: NodeState
    skip_children: bool
    takes: bool
    alone: bool

    @property
    def release(self) -> SqlMove:
        """The transitions of the children."""
        return _RELEASE_AND_TAKE if self.takes else _RELEASE

    @lru_cache(maxsize=64)  # noqa: B019  the instances are few
    def sql(self, write: str, companion: str) -> str:
        """Return the statement.

        Args:
            write: the UPDATE that writes the outcome.
            companion: the part that inserts the companion row; empty for none.
        """
        fits = NEVER if self.skip_children else FITS.given(parent__state=self.state)
        fits_sql = f"({fits.sql(node='child')})"
        alone = "TRUE" if self.alone else _ALONE.format(guard=self.release.guard(), others_fit=fits.sql(node="other"))
        takes = f"({fits_sql} AND {_GOES_ON.format(alone=alone)})"
        return _FINISH.format(
            write=write,
            state=self.release.assignment("child.").format(fits=fits_sql, alone=alone),
            guard=self.release.guard("child."),
            fits=fits_sql,
            free=_FREE,
            which="TRUE" if self.skip_children else "NOT child.is_gather",
            columns=_COLUMNS,
            companion=companion,
            take=_TAKE_CHILD.format(takes=takes) if self.takes else "",
            taker=_TAKER if self.takes else "",
        )


def _insert_many(companion: CompanionRow, number: int) -> str:
    """Return the part of a statement that inserts the rows of those nodes whose outcomes are written."""
    row = f"(%s::uuid, {', '.join(companion.placeholders)})"
    names = ", ".join(f"c{number}" for number in range(len(companion.values)))
    return (
        f"{companion.insert} SELECT {names} FROM (VALUES {', '.join([row] * number)}) AS given (id, {names}) "  # noqa: S608  names of Django's own
        f"JOIN finished USING (id) {companion.on_conflict}"
    )


def _insert(companion: CompanionRow) -> str:
    """Return the part of a statement that inserts the row if, and only if, the outcome is written."""
    placeholders = ", ".join(["%s"] * len(companion.values))
    return f"{companion.insert} SELECT {placeholders} FROM finished {companion.on_conflict}"  # noqa: S608  names of Django's own


class _PerTransaction:
    """Set the limits at the beginning of each transaction. A statement outside a transaction gets its own one."""

    def __init__(self) -> None:
        self._limited: Any = None

    def __call__(self, execute: Callable[..., Any], statement: Any, params: Any, many: bool, context: Any) -> Any:
        connection = context["connection"]
        if not connection.in_atomic_block:
            with transaction.atomic(using=connection.alias):
                return self._execute(connection, execute, statement, params, many, context)
        return self._execute(connection, execute, statement, params, many, context)

    def _execute(self, connection: Any, execute: Callable[..., Any], *statement: Any) -> Any:
        outermost = connection.atomic_blocks[0]
        if self._limited is not outermost:
            self._limited = outermost
            # Use the driver's own cursor, so that this statement does not pass through the wrapper again.
            with connection.connection.cursor() as cursor:
                cursor.execute(_LIMITS)
        return execute(*statement)
