"""Write the outcomes of several nodes that a worker process has run one after another, in one transaction."""

from collections.abc import Collection
from uuid import UUID

from django_tasktree.engine.backends import backend
from django_tasktree.engine.database_retries import retry_transient_flagged
from django_tasktree.engine.transitions import nodes
from django_tasktree.engine.types import NodeRef, Outcome
from django_tasktree.states import NodeState


def can_wait(node: NodeRef, outcome: Outcome) -> bool:
    """Return whether an outcome may be written together with others: nothing follows the node but settling its parent.

    Args:
        node: the attempt.
        outcome: its outcome.
    """
    is_leaf = node.child_count == 0 and not outcome.added
    return outcome.state == NodeState.SUCCESS and is_leaf and node.limit_scope_id is None


def finish_together(ended: Collection[tuple[NodeRef, Outcome]]) -> set[UUID]:
    """Write the outcomes of started nodes that succeeded and have no children, and settle the nodes.

    Transient database errors are retried. The caller then settles the parents.

    Args:
        ended: the attempts, with outcomes of which :func:`can_wait` is true.

    Returns:
        The IDs of the nodes whose outcome was written. The others have got children, or another attempt has taken over.
    """

    def attempt(again: bool) -> set[UUID]:
        # An earlier try may have committed although its reply was lost.
        return backend().write_outcomes(ended) | (_already(ended) if again else set())

    return retry_transient_flagged(attempt)


def _already(ended: Collection[tuple[NodeRef, Outcome]]) -> set[UUID]:
    mine = {(node.id, node.task_id, outcome.at) for node, outcome in ended}
    done = nodes().filter(id__in=[node.id for node, _ in ended], state=NodeState.SUCCESS)
    return {row[0] for row in done.values_list("id", "task_id", "finished_at") if tuple(row) in mine}
