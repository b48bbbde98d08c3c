"""finish: after the body, the node's outcome is written and what follows it is released."""

from collections.abc import Iterable
from typing import Any

from django.db import transaction

from django_tasktree.conf import settings
from django_tasktree.engine import finish_postgresql, sql
from django_tasktree.engine.insert import insert_nodes
from django_tasktree.engine.moves import check, nodes, write_alias
from django_tasktree.engine.release import queued_children, release_children
from django_tasktree.engine.specs import Beside, NodeError, NodeRef, Outcome, Released
from django_tasktree.engine.stop import lock_stopped, stop_on_failure
from django_tasktree.engine.transient import persist_knowing
from django_tasktree.exceptions import Fenced
from django_tasktree.states import NODE_FAILED, RUN_FINAL, Hold, NodeState

_NO_ERROR = NodeError("", "")
_STARTED = (NodeState.STARTED,)
# IS TRUE: see ``claim``.
WRITE = """
    UPDATE {{node}} SET state = %s, finished_at = %s, result = %s, error_type = %s, error_message = %s,
        error_args = %s, traceback = %s, settled = %s, failed = %s AND NOT allow_failure, ready = FALSE,
        child_count = child_count + %s
    WHERE id = %s AND (task_id = %s) IS TRUE AND state IN ({sources})
"""
_ONLY_LEAF = " AND child_count = 0"
_SAME_CHILDREN = " AND child_count = {}"


def finish(node: NodeRef, outcome: Outcome, sources: Iterable[NodeState] = _STARTED) -> Released:
    """Write how an attempt ended; in the same transaction insert what the body added and queue what follows.

    Goes on through transient errors of the database, unless the caller has opened a transaction.

    The caller publishes what is returned after commit, and then settles: from the node itself where it has children,
    else from its parent.

    Args:
        node: the attempt.
        outcome: how it ended.
        sources: the states that the node may be in: STARTED, unless it never got as far as a worker.

    Returns:
        What the end of the node set free.

    Raises:
        Fenced: another attempt has taken over, or the node has ended already; nothing was written.
    """
    sources = tuple(sources)
    check(sources, outcome.state)

    def attempt(again: bool) -> Released:
        try:
            return _try(node, outcome, sources)
        except Fenced:
            # The answer to an earlier try may have been lost after its commit.
            done = _already(node, outcome) if again else None
            if done is None:
                raise
            return done

    return persist_knowing(attempt)


def _already(node: NodeRef, outcome: Outcome) -> Released | None:
    mine = nodes().filter(id=node.id, task_id=node.task_id, state=outcome.state, finished_at=outcome.at)
    settled: bool | None = mine.values_list("settled", flat=True).first()
    if settled is None:
        return None
    stopped = node.stops is not None and outcome.state in NODE_FAILED
    return Released(queued_children(node.run_id, node.id), ready=True, stopped=stopped, settled=settled)


def _try(node: NodeRef, outcome: Outcome, sources: tuple[NodeState, ...]) -> Released:
    statement = WRITE.format(sources=", ".join(f"'{source}'" for source in sources))
    if node.stops is None or outcome.state not in NODE_FAILED:
        return _finish(node, outcome, statement)
    with transaction.atomic(using=write_alias()):
        lock_stopped(node)
        released = _finish(node, outcome, statement)
        allowed = nodes().filter(id=node.id, allow_failure=True).exists()
        return released if allowed else stop_on_failure(node)


def _finish(node: NodeRef, outcome: Outcome, statement: str) -> Released:
    if node.child_count == 0 and not outcome.added and _write(statement + _ONLY_LEAF, node, outcome, settles=True):
        return Released(settled=True)
    if _fits_one_statement(node, outcome):
        # A child that is being added from outside would not be seen by the statement that releases the others.
        guarded = statement + _SAME_CHILDREN.format(node.child_count)
        released = finish_postgresql.finish(guarded, _values(node, outcome), node, outcome)
        if released is not None:
            return released
    with transaction.atomic(using=write_alias()):
        if not _write(statement, node, outcome):
            raise Fenced.of(node.id, node.task_id)
        if outcome.added:
            insert_nodes(node.run_id, outcome.added, hold=_hold_of_children(node), grown=True)
        return release_children(node, outcome)


def _hold_of_children(node: NodeRef) -> Hold:
    """What keeps children that a body has added from starting: what keeps the node's subtree, or the end of the run."""
    hold, run_state = nodes().values_list("hold", "run__state").get(id=node.id)
    return Hold.STOPPED if run_state in RUN_FINAL else Hold(hold)


def _fits_one_statement(node: NodeRef, outcome: Outcome) -> bool:
    narrow = 0 < node.child_count <= settings.batch_size
    return narrow and not outcome.added and sql.connection().vendor == "postgresql"


def _write(statement: str, node: NodeRef, outcome: Outcome, *, settles: bool = False) -> bool:
    values = _values(node, outcome, settles=settles)
    if outcome.beside is None:
        return sql.execute(statement, *values) == 1
    if sql.connection().vendor == "postgresql":
        return finish_postgresql.write(statement, values, outcome.beside)
    with transaction.atomic(using=write_alias()):
        if sql.execute(statement, *values) != 1:
            return False
        _insert(outcome.beside)
    return True


def _insert(row: Beside) -> None:
    placeholders = ", ".join(["%s"] * len(row.values))
    sql.execute(f"{row.insert} VALUES ({placeholders}) {row.on_conflict}", *row.values)


def _values(node: NodeRef, outcome: Outcome, *, settles: bool = False) -> tuple[Any, ...]:
    """The values of :data:`WRITE`. Nothing below a skipped node is ever reached, so that one settles at once."""
    error = outcome.error or _NO_ERROR
    settles = settles or outcome.state == NodeState.SKIPPED
    return (
        outcome.state.value,
        outcome.at,
        outcome.result,
        error.type,
        error.message,
        error.args,
        error.traceback,
        settles,
        settles and outcome.state in NODE_FAILED,
        sum(spec.parent_id == node.id for spec in outcome.added),
        node.id,
        node.task_id,
    )


def error_values(error: NodeError = _NO_ERROR) -> dict[str, str]:
    """The columns that hold an error; by default those of none."""
    return {
        "error_type": error.type,
        "error_message": error.message,
        "error_args": error.args,
        "traceback": error.traceback,
    }
