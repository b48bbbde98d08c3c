"""Read the result of a node from its row."""

from typing import Any

from django_tasktree.encoding import serialization
from django_tasktree.encoding.errors import rebuild
from django_tasktree.encoding.node_error import NodeError
from django_tasktree.exceptions import NodeNotRun
from django_tasktree.models import NodeRun
from django_tasktree.states import NodeState


def stored_value(row: NodeRun, propagate: bool) -> Any:
    """Return the result of a node.

    Args:
        row: the row of the node.
        propagate: whether to raise the exception of a failure, or ``NodeNotRun``, instead of returning the exception,
            or None.

    Raises:
        NodeNotRun: the node has no result; for example, it was revoked.
        Exception: the exception of the task.
    """
    if row.state == NodeState.SUCCESS:
        return serialization.read(row.result) if row.result is not None else None
    if row.state == NodeState.FAILURE:
        exc = rebuild(NodeError(row.error_type, row.error_message, row.error_args, row.traceback))
        if propagate:
            raise exc
        return exc
    if propagate:
        why = f": {row.error_message}" if row.error_message else ""
        raise NodeNotRun(f"node {row.id} ({row.task}) has no result, its state is {row.state}{why}")
    return None
