"""claim: before the body, one worker takes the node."""

from datetime import datetime
from uuid import UUID

from django_tasktree import times
from django_tasktree.engine import sql
from django_tasktree.engine.moves import check, nodes
from django_tasktree.engine.specs import NodeRef
from django_tasktree.engine.transient import persist_knowing
from django_tasktree.states import CLAIMABLE, NodeState
from django_tasktree.text import LONG_NAME_LENGTH, storable

check(CLAIMABLE, NodeState.STARTED)
# IS TRUE keeps MariaDB from entering by the index on task_id: it would lock that entry first and the row second, and so
# wait for whoever has the row and is giving it a new task id, crosswise.
_CLAIM = """
    UPDATE {node} SET state = 'STARTED', worker = %s, worker_id = %s, started_at = %s, attempts = attempts + 1
    WHERE id = %s AND (task_id = %s) IS TRUE AND state IN ('QUEUED', 'RETRY') AND hold = ''
        AND EXISTS (SELECT 1 FROM {run} run WHERE run.id = %s AND run.state = 'STARTED')
"""


def claim(node: NodeRef, worker: str, worker_id: UUID | None = None) -> bool:
    """Take a queued node for one attempt, through transient errors of the database.

    Args:
        node: the attempt that a message names.
        worker: the name of the worker that received it.
        worker_id: the key of its row, by whose heartbeats the sweep tells whether it lives; None where no worker is
            involved.

    Returns:
        False where the message is a duplicate, or void because a later attempt has taken its place, or where the node
        may not start now: :func:`django_tasktree.engine.park.park` tells.
    """
    now = times.now()
    worker = storable(worker, LONG_NAME_LENGTH)

    def attempt(again: bool) -> bool:
        # The answer to an earlier try may have been lost after its commit: then the node is this very attempt's.
        return _claim(node, worker, worker_id, now) or (again and _is_mine(node, worker_id, now))

    return persist_knowing(attempt)


def _is_mine(node: NodeRef, worker_id: UUID | None, at: datetime) -> bool:
    mine = nodes().filter(id=node.id, task_id=node.task_id, state=NodeState.STARTED)
    return mine.filter(worker_id=worker_id, started_at=at).exists()


def _claim(node: NodeRef, worker: str, worker_id: UUID | None, now: datetime) -> bool:
    return sql.execute(_CLAIM, worker, worker_id, now, node.id, node.task_id, node.run_id) == 1
