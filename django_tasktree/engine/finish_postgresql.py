"""finish in one statement, where the database chains UPDATEs: no transaction, one round trip instead of five."""

from typing import Any

from django_tasktree import times
from django_tasktree.engine import sql
from django_tasktree.engine.specs import Beside, Dispatch, NodeRef, Outcome, Released
from django_tasktree.states import NodeState, fitting

_FINISH = """
    WITH finished AS ({write} RETURNING id),
    released AS (
        UPDATE {{node}} child SET
            state = CASE WHEN child.run_when NOT IN ({fits}) THEN 'SKIPPED'
                WHEN {free} THEN 'QUEUED' ELSE 'PENDING' END,
            ready = child.run_when IN ({fits}) AND NOT {free},
            settled = child.run_when NOT IN ({fits}),
            queued_at = CASE WHEN child.run_when IN ({fits}) AND {free} THEN %s END,
            finished_at = CASE WHEN child.run_when NOT IN ({fits}) THEN %s END
        FROM finished, {{run}} run
        WHERE child.parent_id = finished.id AND child.run_id = %s AND run.id = child.run_id
            AND child.state = 'PENDING' AND {which}
        RETURNING child.position, child.state, child.id, child.task_id, child.task, child.args, child.kwargs,
            child.options, child.has_references, child.child_count, child.stops, child.limiter, child.max_active,
            child.retries, child.eta
    )
    {beside}
    SELECT released.* FROM finished LEFT JOIN released ON TRUE ORDER BY released.position
"""
_FREE = "(run.state = 'STARTED' AND child.hold = '' AND child.limiter IS NULL)"
_WRITE = "WITH finished AS ({write} RETURNING id) {insert}"


def write(write: str, values: tuple[Any, ...], beside: Beside) -> bool:
    """Write an outcome, and the row that belongs to it.

    Args:
        write: the UPDATE that writes the outcome.
        values: its values.
        beside: the row.

    Returns:
        False where the attempt was void; then nothing was written.
    """
    return sql.execute(_WRITE.format(write=write.strip(), insert=_insert(beside)), *values, *beside.values) == 1


def _insert(beside: Beside) -> str:
    """Insert the row if, and only if, the outcome is written."""
    placeholders = ", ".join(["%s"] * len(beside.values))
    return f"{beside.insert} SELECT {placeholders} FROM finished {beside.on_conflict}"  # noqa: S608  names of Django's own


def finish(write: str, values: tuple[Any, ...], node: NodeRef, outcome: Outcome) -> Released | None:
    """Write an outcome, and queue or skip the node's children; the same as the steps in ``finish`` and ``release``.

    Args:
        write: the UPDATE that writes the outcome.
        values: its values.
        node: the attempt.
        outcome: how it ended.

    Returns:
        What was set free; None where the attempt was void.
    """
    if outcome.state == NodeState.SKIPPED:
        return Released(settled=True) if sql.execute(write, *values) else None
    beside = "" if outcome.beside is None else f", beside AS ({_insert(outcome.beside)})"
    more = () if outcome.beside is None else outcome.beside.values
    fits = () if outcome.stop else fitting(outcome.state)
    # NULL is in no list, not even a negated one: the empty text stands for "nothing fits".
    quoted = ", ".join(f"'{when}'" for when in sorted(fits)) or "''"
    which = "TRUE" if outcome.stop else "NOT child.is_gather"
    statement = _FINISH.format(write=write.strip(), fits=quoted, free=_FREE, which=which, beside=beside)
    now = times.now()
    rows = sql.rows(statement, *values, now, now, node.run_id, *more)
    if not rows:
        return None
    queued = [_dispatch(node, row) for row in rows if row[1] == NodeState.QUEUED]
    return Released(queued, ready=any(row[1] == NodeState.PENDING for row in rows))


def _dispatch(node: NodeRef, row: tuple[Any, ...]) -> Dispatch:
    _, _, child_id, task_id, *rest = row
    return Dispatch(child_id, node.run_id, node.id, task_id, *rest)
