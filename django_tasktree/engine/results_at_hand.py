"""Which results nodes that are added from outside may be given."""

from collections.abc import Collection
from uuid import UUID

from django_tasktree.engine.moves import nodes
from django_tasktree.engine.subtree import ancestors
from django_tasktree.exceptions import BrokenReference
from django_tasktree.states import NodeState


def check_at_hand(run_id: UUID, parent_id: UUID | None, wanted: Collection[UUID]) -> None:
    """Make sure that nodes whose outputs are referred to have succeeded, or will have ended when the new nodes start.

    Args:
        run_id: the run.
        parent_id: the node below which nodes are added.
        wanted: the nodes that they refer to.

    Raises:
        BrokenReference: one has not, and stands somewhere else in the tree, or in another run.
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
            told = f"{key} ({task}), which is {state}" if task else f"{key}, which is not in run {run_id}"
            raise BrokenReference(
                f"a node that is added refers to the output of node {told}: it has no result to pass on, and the new "
                "node would not wait for it"
            )
