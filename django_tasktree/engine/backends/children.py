"""The statements that release and settle make about the children of a node; they are the same for all databases."""

from collections.abc import Collection
from datetime import datetime
from operator import itemgetter
from typing import Any
from uuid import UUID

from django_tasktree.encoding import times
from django_tasktree.engine.backends import backend
from django_tasktree.engine.backends.columns import converted
from django_tasktree.engine.literals import literal, literals
from django_tasktree.engine.rules import IS_TASK, IS_UNSETTLED, SUBTREE_LETS_START
from django_tasktree.engine.transitions import SqlMove
from django_tasktree.engine.types import DISPATCH_COLUMNS, NodeRef, Taker
from django_tasktree.states import RUN_GOING, NodeState

_PENDING = (NodeState.PENDING,)

#: The columns that decide, with the outcome of the parent and the state of the run, what happens to a child.
RULES = ("is_gather", "run_when", "hold")
_CHILD = (*RULES, *DISPATCH_COLUMNS)
_PENDING_CHILDREN = f"""
    SELECT {", ".join(f"child.{name}" for name in _CHILD)}, run.state
    FROM {{node}} child JOIN {{run}} run ON run.id = child.run_id
    WHERE child.parent_id = %s AND child.run_id = %s AND child.state = {literal(NodeState.PENDING)}
    ORDER BY child.parent_id, child.position LIMIT %s
"""  # noqa: S608  put together from constants

_QUEUE = SqlMove(_PENDING, NodeState.WAITING, ((IS_TASK.sql(node=""), NodeState.QUEUED),))
_QUEUE_NODES = f"""
    UPDATE {{node}} SET {_QUEUE.assignment()}, runnable = FALSE, queued_at = %s, resend_count = 0
    WHERE {_QUEUE.guard()}
"""  # noqa: S608  put together from constants

_START = SqlMove(_PENDING, NodeState.STARTED)
_START_CHILD = f"""
    UPDATE {{node}} SET {_START.assignment()}, runnable = FALSE, queued_at = %s, started_at = %s, worker = %s,
        worker_id = %s, carried_by = %s, attempts = attempts + 1
    WHERE id = %s AND {_START.guard()} AND {SUBTREE_LETS_START.sql(node="")}
"""  # noqa: S608  put together from constants

_GATHER = ("position", "quorum", "state", "run_when", "hold", *DISPATCH_COLUMNS)
# It has the condition of a partial index in both forms, and none on run_id, for the reasons given in `base`.
_UNSETTLED_GATHERS = f"""
    SELECT {", ".join(f"child.{name}" for name in _GATHER)}, run.state
    FROM {{{{node}}}} child JOIN {{{{run}}}} run ON run.id = child.run_id
    WHERE {{under}} AND {IS_UNSETTLED.sql(node="child")} AND child.settled = {{{{false}}}} AND child.is_gather
"""  # noqa: S608  put together from constants
_BELOW_NODE = _UNSETTLED_GATHERS.format(under="child.parent_id = %s")
_BELOW_RUN = _UNSETTLED_GATHERS.format(under="child.parent_id IS NULL AND child.run_id = %s")

_LOCK_RUN = f"""
    UPDATE {{run}} SET revision = %s WHERE id = %s AND revision = %s AND state IN ({literals(RUN_GOING)})
"""  # noqa: S608  put together from constants
_LOCK_PARENT = """
    UPDATE {node} SET revision = %s WHERE id = %s AND child_count = %s AND revision = %s AND NOT settled
"""
_MARK_SETTLED = """
    UPDATE {node} SET settled = TRUE, subtree_failed = %s
    WHERE id = %s AND child_count = %s AND revision = %s AND NOT settled
"""
_FAILED_ROOT = "SELECT 1 FROM {node} WHERE parent_id IS NULL AND run_id = %s AND subtree_failed LIMIT 1"
_FAILED_CHILD = "SELECT 1 FROM {node} WHERE parent_id = %s AND run_id = %s AND subtree_failed LIMIT 1"


def pending_children(node: NodeRef, most: int) -> list[tuple[Any, ...]]:
    """Read children of a node that are PENDING, in order.

    Args:
        node: the node.
        most: the maximum number of children.

    Returns:
        For each, the columns of :data:`RULES`, those of a dispatch, and the state of the run.
    """
    database = backend()
    return converted(database.rows(_PENDING_CHILDREN, node.id, node.run_id, most), _CHILD, database.connection)


def queue_nodes(ids: Collection[UUID]) -> int:
    """Queue those of some nodes that are still PENDING; wait nodes begin to wait.

    Args:
        ids: the nodes, at least one.

    Returns:
        How many were queued.
    """
    _QUEUE.check()
    keys = ", ".join(["%s"] * len(ids))
    return backend().execute(f"{_QUEUE_NODES} AND id IN ({keys})", times.now(), *ids)


def start_child(pending: NodeRef, taker: Taker, at: datetime) -> bool:
    """Claim a node that is still PENDING, and not on hold by now, for the process that has finished its parent."""
    _START.check()
    values = (at, at, taker.worker, taker.worker_id, taker.carried_by, pending.id)
    return backend().execute(_START_CHILD, *values) == 1


def unsettled_gathers(run_id: UUID, parent_id: UUID | None) -> list[tuple[Any, ...]]:
    """Read the unsettled gather nodes under a parent, in order.

    Args:
        run_id: the run.
        parent_id: the parent; None: the run.

    Returns:
        For each, position, quorum, state, ``run_when`` and ``hold``, the columns of a dispatch, and the state of the
        run.
    """
    database = backend()
    found = database.rows(_BELOW_RUN, run_id) if parent_id is None else database.rows(_BELOW_NODE, parent_id)
    return sorted(converted(found, _GATHER, database.connection), key=itemgetter(0))


def lock_unchanged_run(run_id: UUID, revision: int) -> bool:
    """Lock a run that has not ended, and return whether its revision is the given one."""
    return backend().execute(_LOCK_RUN, revision, run_id, revision) == 1


def lock_unchanged_parent(node_id: UUID, child_count: int, revision: int) -> bool:
    """Lock a node that has not settled, and return whether no child was added to it or reset since it was read."""
    return backend().execute(_LOCK_PARENT, revision, node_id, child_count, revision) == 1


def mark_settled(node_id: UUID, child_count: int, revision: int, *, failed: bool) -> bool:
    """Mark a node as settled, unless a child was added to it or reset since it was read, or it has settled.

    Args:
        node_id: the node.
        child_count: its number of children, as it was read.
        revision: its revision, as it was read.
        failed: whether a failure of the node, or of what is below it, counts.
    """
    return backend().execute(_MARK_SETTLED, failed, node_id, child_count, revision) == 1


def has_failed_child(run_id: UUID, parent_id: UUID | None) -> bool:
    """Return whether a failure of a node under a parent counts; ``parent_id`` is None for the run."""
    if parent_id is None:
        return bool(backend().rows(_FAILED_ROOT, run_id))
    return bool(backend().rows(_FAILED_CHILD, parent_id, run_id))
