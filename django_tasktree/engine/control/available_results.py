"""Check which results can be passed to nodes that are added from outside."""

from collections.abc import Collection
from uuid import UUID

from django_tasktree.engine.transitions import nodes
from django_tasktree.engine.traversal import ancestors
from django_tasktree.exceptions import BrokenReference
from django_tasktree.states import NodeState


def check_references_available(run_id: UUID, parent_id: UUID | None, wanted: Collection[UUID]) -> None:
    """Check that the referenced nodes have succeeded, or will have finished when the new nodes start.

    The parent and its ancestors, and the run itself, are always permitted.

    Args:
        run_id: the run.
        parent_id: the node below which nodes are added; None for root nodes.
        wanted: the referenced nodes.

    Raises:
        BrokenReference: if a node elsewhere in the tree has not succeeded, or a node is in another run.
    """
    above = ancestors(run_id, [parent_id]) if parent_id is not None else set()
    missing = set(wanted) - above - {run_id}
    if not missing:
        return
    rows = nodes().filter(id__in=missing, run_id=run_id).values_list("id", "state", "task")
    found = {key: (state, task) for key, state, task in rows}
    for key in missing:
        state, task = found.get(key, ("", ""))
        if state != NodeState.SUCCESS:
            described = f"{key} ({task}), which is {state}" if task else f"{key}, which is not in run {run_id}"
            raise BrokenReference(
                f"a node that is added refers to the output of node {described}: it has no result to pass on, and the "
                "new node would not wait for it"
            )
