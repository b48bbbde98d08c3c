"""The statements that all supported databases share, and how hand-written statements are executed."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from functools import cache, lru_cache
from typing import Any, ClassVar
from uuid import UUID

from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from django_tasktree.encoding import times
from django_tasktree.encoding.node_error import NodeError
from django_tasktree.engine.backends.insertion import Insertion
from django_tasktree.engine.literals import literals
from django_tasktree.engine.rules import (
    FAILURE_COUNTS,
    IS_UNSETTLED,
    IS_WAITING_GATHER,
    RUN_LETS_START,
    SUBTREE_LETS_START,
)
from django_tasktree.engine.transitions import SqlMove
from django_tasktree.engine.types import DISPATCH_COLUMNS, CompanionRow, Dispatch, NodeRef, Outcome, Released, Taker
from django_tasktree.models import HistoryEntry, NodeAttempt, NodeRun, TreeRun
from django_tasktree.states import CLAIMABLE, NODE_FINAL, RUN_GOING, NodeState

#: Time limits in seconds of limited statements: for waiting for a lock, and for the whole statement.
LOCK_WAIT = 1
MAX_STATEMENT_TIME = 20

NO_ERROR = NodeError("", "")

_CLAIM = SqlMove(tuple(CLAIMABLE), NodeState.STARTED)
# IS TRUE prevents MariaDB from using the index on task_id. With the index, it would lock the index entry first and the
# row second, and deadlock with a transaction that has locked the row and is changing its task ID.
_CLAIM_NODE = f"""
    UPDATE {{node}} SET {_CLAIM.assignment()}, worker = %s, worker_id = %s, started_at = %s, attempts = attempts + 1,
        carried_by = NULL
    WHERE id = %s AND (task_id = %s) IS TRUE AND {_CLAIM.guard()} AND {SUBTREE_LETS_START.sql(node="")}
        AND EXISTS (SELECT 1 FROM {{run}} run WHERE run.id = %s AND {RUN_LETS_START.sql(run="run")})
"""  # noqa: S608  put together from constants

_WRITE_OUTCOME = """
    UPDATE {{node}} SET {state}, finished_at = %s, result = %s, error_type = %s, error_message = %s,
        error_args = %s, traceback = %s, settled = %s, subtree_failed = %s AND {counts}, runnable = FALSE,
        child_count = child_count + %s
    WHERE id = %s AND (task_id = %s) IS TRUE AND {guard}
"""
_WITH_CHILDREN = " AND child_count = %s"

# Whether the first unsettled node under a parent is a gather node; NULL if all have settled. Gather nodes sort last, so
# if the first one is a gather node, nothing else is left. Among equals the highest position comes first: children tend
# to settle in order of position, so the scan starts where the index still has live entries.
# MariaDB filesorts if ORDER BY contains a constant column. To PostgreSQL, parent_id is not constant when it IS NULL, so
# there ORDER BY must contain it to use the index.
# SQLite uses a partial index if a condition is written as in the index: Django 5.2 and 6.0 write NOT, 6.1 writes = 0.
_FIRST_UNSETTLED = f"""
    SELECT child.is_gather FROM {{{{node}}}} child
    WHERE {{under}} AND {IS_UNSETTLED.sql(node="child")} AND child.settled = {{{{false}}}}
    ORDER BY {{order}} child.is_gather, child.position DESC LIMIT 1
"""  # noqa: S608  put together from constants
# There is no condition on run_id: while PostgreSQL's statistics do not include a new run yet, it would read all nodes
# of the run through another index. All children belong to the same run.
_UNDER_NODE = _FIRST_UNSETTLED.format(under="child.parent_id = %s", order="child.run_id,")
# Whether a gather node with a quorum waits under a parent.
_WAITS_FOR_QUORUM = f"""EXISTS (
                SELECT 1 FROM {{{{node}}}} other
                WHERE {{under}}{{run}} AND {IS_UNSETTLED.sql(node="other")} AND other.settled = {{{{false}}}}
                    AND {IS_WAITING_GATHER.sql(node="other")} AND other.quorum <> ''
            )"""  # noqa: S608  put together from constants
_UNDER_RUN = "child.parent_id IS NULL AND child.run_id = %s"

# SKIPPED is left out: nodes not reached below a skipped node stay unsettled, which only single steps take into account.
_IN_LINE = f"state IN ({literals(NODE_FINAL - {NodeState.SKIPPED})})"
_LINE_UP = f"""
    WITH RECURSIVE line (id, parent_id, state, child_count, revision, allow_failure, tolerated, step) AS (
        SELECT id, parent_id, state, child_count, revision, allow_failure, tolerated, 0 FROM {{table}}
        WHERE id = %s AND NOT settled AND {_IN_LINE}
        UNION ALL
        SELECT node.id, node.parent_id, node.state, node.child_count, node.revision, node.allow_failure, node.tolerated,
            line.step + 1
        FROM {{table}} node JOIN line ON node.id = line.parent_id
        WHERE line.step < %s AND NOT node.settled AND node.{_IN_LINE}
    )
    SELECT id, parent_id, state, child_count, revision, allow_failure, tolerated FROM line ORDER BY step
"""  # noqa: S608  put together from constants


SUCCEED = SqlMove((NodeState.STARTED,), NodeState.SUCCESS)
TAKE = SqlMove((NodeState.QUEUED,), NodeState.STARTED)
#: The queued nodes of a lane that may start, in the order in which they were made; see :func:`takeable_values`.
FIND_TAKEABLE = f"""
    SELECT node.id FROM {{node}} node
    WHERE run_id = %s AND {TAKE.guard()} AND runnable = FALSE AND limit_scope_id IS NULL AND lane = %s AND id > %s
        AND {SUBTREE_LETS_START.sql(node="node")}
        AND EXISTS (SELECT 1 FROM {{run}} run WHERE run.id = %s AND {RUN_LETS_START.sql(run="run")})
    ORDER BY limit_scope_id, lane, id LIMIT %s
"""  # noqa: S608  put together from constants
SET_TAKEN = (
    f"{TAKE.assignment()}, worker = %s, worker_id = %s, started_at = %s, attempts = attempts + 1, carried_by = %s"
)


def takeable_values(taker: Taker, most: int, after: UUID) -> tuple[Any, ...]:
    """Return the values of :data:`FIND_TAKEABLE`."""
    return (taker.run_id, taker.lane, after, taker.run_id, most)


def taken_values(taker: Taker, at: datetime) -> tuple[Any, ...]:
    """Return the values of :data:`SET_TAKEN`."""
    return (taker.worker, taker.worker_id, at, taker.carried_by)


def look_at_node_sql(run: str) -> str:
    """Return the statement that reads a node and what is left to settle under it.

    Args:
        run: a condition on the run of the children, after AND, if the database needs it to use an index.
    """
    return f"""
        SELECT parent.parent_id, parent.state, parent.settled, parent.child_count, parent.revision,
            parent.allow_failure, parent.tolerated, {_WAITS_FOR_QUORUM.format(under="other.parent_id = %s", run=run)},
            ({_UNDER_NODE})
        FROM {{node}} parent WHERE parent.id = %s
    """  # noqa: S608


def look_at_run_sql(order: str) -> str:
    """Return the statement that reads a run and what is left to settle under it.

    Args:
        order: the first column of ORDER BY, with a comma; empty if the database treats that column as constant.
    """
    first = _FIRST_UNSETTLED.format(under=_UNDER_RUN, order=order)
    quorum = _WAITS_FOR_QUORUM.format(under="other.parent_id IS NULL", run=" AND other.run_id = run.id")
    return f"""
        SELECT run.revision, {quorum}, ({first}), run.parent_run_id IS NOT NULL
        FROM {{run}} run WHERE run.id = %s AND run.state IN ({literals(RUN_GOING)})
    """  # noqa: S608


@cache
def _outcome_sql(wanted: SqlMove, *, with_children: bool) -> str:
    """Return the statement that makes a transition to a final state; see :meth:`Backend.outcome_sql`."""
    counts = FAILURE_COUNTS.given(state=wanted.target).sql(node="")
    write = _WRITE_OUTCOME.format(state=wanted.assignment(), counts=counts, guard=wanted.guard()).strip()
    return write + _WITH_CHILDREN if with_children else write


def outcome_values(
    node: NodeRef, outcome: Outcome, *, settles: bool = False, children: int | None = None
) -> tuple[Any, ...]:
    """Return the values of the statement that writes an outcome; ``children`` as in :meth:`Backend.outcome_sql`."""
    error = outcome.error or NO_ERROR
    # Nothing below a skipped node is reached, so it settles at once.
    settles = settles or outcome.state == NodeState.SKIPPED
    return (
        outcome.at,
        outcome.result,
        error.type,
        error.message,
        error.args,
        error.traceback,
        settles,
        settles,
        sum(spec.parent_id == node.id for spec in outcome.added),
        node.id,
        node.task_id,
        *(() if children is None else (children,)),
    )


def as_uuid(value: Any) -> UUID:
    """Convert the value of a UUID column, which is text if the database has no UUID type."""
    return value if isinstance(value, UUID) else UUID(value)


@lru_cache(maxsize=64)
def _with_tables(sql: str, false: str) -> str:
    return sql.format(
        false=false, node=NodeRun._meta.db_table, run=TreeRun._meta.db_table, attempt=NodeAttempt._meta.db_table
    )


def _uuid(value: UUID, database: BaseDatabaseWrapper) -> Any:
    return value if database.features.has_native_uuid_field else value.hex


_ADAPTERS: dict[type, Callable[[Any, BaseDatabaseWrapper], Any]] = {UUID: _uuid, datetime: times.for_database}


@dataclass(frozen=True)
class Backend(ABC):
    """The statements of one kind of database server.

    Attributes:
        connection: the connection on which they are executed.
    """

    connection: BaseDatabaseWrapper

    #: The expression for a random UUID in a statement on a table whose primary key is ``id``.
    random_id: ClassVar[str]
    #: The value false, as Django writes it in the condition of an index.
    false: ClassVar[str] = "FALSE"
    #: The end of a SELECT that locks rows against changes, and not against other such locks; empty with one writer.
    share_lock: ClassVar[str] = ""
    look_at_node_statement = look_at_node_sql("")
    look_at_run_statement = look_at_run_sql("child.parent_id,")

    def execute(self, sql: str, *values: Any) -> int:
        """Execute a statement.

        Args:
            sql: the statement, with ``{node}``, ``{run}`` and ``{attempt}`` for the names of tables and ``%s`` for
                values.
            *values: the values; UUIDs and datetimes are converted for the database.

        Returns:
            The number of rows that the statement matched.
        """
        with self.connection.cursor() as cursor:
            cursor.execute(_with_tables(sql, self.false), self._adapted(values))
            return int(cursor.rowcount)

    def rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """Execute a query and return its rows; see :meth:`execute`."""
        with self.connection.cursor() as cursor:
            cursor.execute(_with_tables(sql, self.false), self._adapted(values))
            found: list[tuple[Any, ...]] = cursor.fetchall()
            return found

    def share_run(self, run_id: UUID) -> None:
        """Lock a run against changes, but not against other such locks, until the end of the transaction."""
        if self.share_lock:
            self.rows(f"SELECT 1 FROM {{run}} WHERE id = %s {self.share_lock}", run_id)  # noqa: S608  a constant

    def _adapted(self, values: tuple[Any, ...]) -> list[Any]:
        return [
            _ADAPTERS[type(value)](value, self.connection) if type(value) in _ADAPTERS else value for value in values
        ]

    @abstractmethod
    def now(self) -> datetime:
        """Ask the database for the time, in one query; see :func:`django_tasktree.engine.backends.database_now`."""

    @abstractmethod
    def limited_statements(self) -> AbstractContextManager[Any]:
        """Limit each statement of the block; see :func:`django_tasktree.engine.statement_limits.limited_statements`."""

    def insert_nodes(self, columns: Mapping[str, Sequence[Any]]) -> None:
        """Insert nodes.

        Args:
            columns: the value of each node by the attribute name of a column, for all columns of the table.
        """
        self.insert(Insertion.of(NodeRun, columns, self.connection))

    def insert(self, insertion: Insertion) -> None:
        """Insert rows. The driver of SQLite repeats a prepared statement; that of MySQL makes INSERTs of many rows."""
        with self.connection.cursor() as cursor:
            cursor.executemany(f"{insertion.insert} {insertion.placeholders}", insertion.rows)

    def claim(self, node: NodeRef, worker: str, worker_id: UUID | None, at: datetime) -> bool:
        """Claim a queued node that may start now; see :func:`django_tasktree.engine.lifecycle.claim.claim`."""
        _CLAIM.check()
        return self.execute(_CLAIM_NODE, worker, worker_id, at, node.id, node.task_id, node.run_id) == 1

    @abstractmethod
    def take(self, taker: Taker, most: int, after: UUID, at: datetime) -> list[Dispatch]:
        """Take queued nodes of a lane, in the order of their IDs; see :mod:`django_tasktree.engine.lifecycle.take`.

        Args:
            taker: who takes them.
            most: the maximum number of nodes.
            after: only nodes with a higher ID are taken.
            at: the time at which they start.
        """

    def taken_at(self, taker: Taker, at: datetime) -> list[Dispatch]:
        """Read the nodes that a message has taken at a time, in the order of their IDs."""
        mine: Any = NodeRun.objects.using(self.connection.alias).filter(
            run_id=taker.run_id, state=NodeState.STARTED, carried_by=taker.carried_by, started_at=at
        )
        return [Dispatch.of_columns(columns) for columns in mine.order_by("id").values_list(*DISPATCH_COLUMNS)]

    def write_outcome(
        self, node: NodeRef, outcome: Outcome, wanted: SqlMove, *, children: int | None = None, settles: bool = False
    ) -> bool:
        """Write an attempt's outcome, and its companion row if it has one.

        Args:
            node: the attempt.
            outcome: how the attempt ended.
            wanted: the transition.
            children: how many children the node must have; None: any number.
            settles: whether the node settles, because nothing is below it.

        Returns:
            False if nothing was written: another attempt has taken over, the node has finished already, or it has
            another number of children.
        """
        statement = self.outcome_sql(wanted, children=children)
        values = outcome_values(node, outcome, settles=settles, children=children)
        if outcome.companion is None:
            return self.execute(statement, *values) == 1
        return self.write_with_companion(statement, values, outcome.companion)

    def write_outcomes(self, ended: Collection[tuple[NodeRef, Outcome]]) -> set[UUID]:
        """Write the outcomes of started nodes that succeeded and have no children, with their companion rows.

        Args:
            ended: the attempts and their outcomes.

        Returns:
            The IDs of the nodes whose outcome was written.
        """
        with transaction.atomic(using=self.connection.alias):
            return {
                node.id
                for node, outcome in ended
                if self.write_outcome(node, outcome, SUCCEED, children=0, settles=True)
            }

    def write_with_companion(self, statement: str, values: tuple[Any, ...], companion: CompanionRow) -> bool:
        """Write an outcome and, if it was written, its companion row.

        Args:
            statement: the statement that writes the outcome.
            values: the values of the statement.
            companion: the row.

        Returns:
            False if nothing was written.
        """
        with transaction.atomic(using=self.connection.alias):
            if self.execute(statement, *values) != 1:
                return False
            placeholders = ", ".join(["%s"] * len(companion.values))
            insert = f"{companion.insert} VALUES ({placeholders}) {companion.on_conflict}"
            self.execute(insert, *companion.values)
        return True

    def finish_parent(
        self,
        node: NodeRef,  # noqa: ARG002
        outcome: Outcome,  # noqa: ARG002
        wanted: SqlMove,  # noqa: ARG002
        taker: Taker | None,  # noqa: ARG002
    ) -> Released | None:
        """Write an outcome and queue or skip the node's children in one statement, if the database supports this.

        Args:
            node: the attempt.
            outcome: how the attempt ended.
            wanted: the transition.
            taker: see :func:`django_tasktree.engine.lifecycle.finish.finish`.

        Returns:
            The children that were queued; None if nothing was written.
        """
        return None

    def look_at_node(self, node_id: UUID) -> tuple[Any, ...] | None:
        """Read a node and what is left to settle under it.

        Returns:
            The node's parent, state, ``settled``, ``child_count``, ``revision``, ``allow_failure`` and ``tolerated``;
            whether a gather node with a quorum waits under it; and whether only gather nodes are left to settle under
            it, or None if nothing is left. None if the node does not exist.
        """
        found = self.rows(self.look_at_node_statement, node_id, node_id, node_id)
        if not found:
            return None
        parent_id, *rest = found[0]
        return (None if parent_id is None else as_uuid(parent_id), *rest)

    def look_at_run(self, run_id: UUID) -> tuple[Any, ...] | None:
        """Read a run and what is left to settle under it.

        Returns:
            The run's revision; whether a gather node with a quorum waits under it; whether only gather nodes are left
            to settle, or None if nothing is left; and whether it is a sub-run. None if the state of the run is not one
            of ``RUN_GOING``.
        """
        found = self.rows(self.look_at_run_statement, run_id, run_id)
        return found[0] if found else None

    def line_up(self, node_id: UUID, most: int) -> list[NodeRun]:
        """Read the chain of finished but unsettled nodes from a node upwards, lowest first.

        Args:
            node_id: the node.
            most: the maximum number of ancestors.
        """
        key = NodeRun._meta.pk.get_db_prep_value(node_id, self.connection)
        statement = _LINE_UP.format(table=NodeRun._meta.db_table)
        return list(NodeRun.objects.using(self.connection.alias).raw(statement, [key, most]))

    def delete_nodes(self, ids: list[UUID]) -> int:
        """Delete nodes with their attempts, and detach children in other batches and history entries.

        Returns:
            How many nodes were deleted.
        """
        keys = ", ".join(["%s"] * len(ids))
        history = HistoryEntry._meta.db_table
        self.execute(f"DELETE FROM {NodeAttempt._meta.db_table} WHERE node_id IN ({keys})", *ids)  # noqa: S608
        self.execute(f"UPDATE {history} SET node_id = NULL WHERE node_id IN ({keys})", *ids)  # noqa: S608
        self.detach_children(ids, keys)
        return self.execute(f"DELETE FROM {NodeRun._meta.db_table} WHERE id IN ({keys})", *ids)  # noqa: S608

    def detach_children(self, ids: list[UUID], keys: str) -> None:
        """Detach those children of some nodes that are not deleted in the same statement.

        Args:
            ids: the parents, which are to be deleted.
            keys: a placeholder for each of them, separated by commas.
        """
        statement = f"UPDATE {NodeRun._meta.db_table} SET parent_id = NULL WHERE parent_id IN ({keys})"  # noqa: S608
        self.execute(f"{statement} AND id NOT IN ({keys})", *ids, *ids)

    def outcome_sql(self, wanted: SqlMove, children: int | None = None) -> str:
        """Return the statement that writes an outcome; :func:`outcome_values` returns its values.

        Args:
            wanted: the transition.
            children: how many children the node must have; None: any number.
        """
        wanted.check()
        return _outcome_sql(wanted, with_children=children is not None)
