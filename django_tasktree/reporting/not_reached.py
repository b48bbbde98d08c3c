"""The rule for nodes that a run did not reach: they are still PENDING after its end."""

from django_tasktree.states import RUN_FINAL, NodeState


def is_not_reached(node_state: str, run_state: str) -> bool:
    """Return whether a node was not reached. Before the end of the run, a pending node may still run.

    Args:
        node_state: the state of the node.
        run_state: the state of its run.
    """
    return node_state == NodeState.PENDING and run_state in RUN_FINAL
