"""End an attempt at a node by starting a run, for whose end the node then waits."""

from uuid import UUID

from django.db import transaction

from django_tasktree.builder.tree import Tree
from django_tasktree.dispatch.after_commit import finish_and_propagate, free_place_after_commit
from django_tasktree.dispatch.launch import launch_tree
from django_tasktree.encoding.ids import new_id
from django_tasktree.encoding.node_error import NodeError
from django_tasktree.encoding.text import NAME_LENGTH, short_name, storable
from django_tasktree.engine.control.pause import pause_run
from django_tasktree.engine.control.sub_runs import Origin, begin_to_wait, has_begun, origin_of
from django_tasktree.engine.database_retries import retry_transient, retry_transient_flagged
from django_tasktree.engine.lifecycle.stop import hold_stopped
from django_tasktree.engine.transitions import write_alias
from django_tasktree.engine.types import NodeRef, Outcome, RunSpec
from django_tasktree.exceptions import ValueTooLarge
from django_tasktree.reporting.node_paths import paths_of
from django_tasktree.states import NodeState, OnFailure, RunState


class _Stopped(Exception):
    """The run of the node has ended, or the subtree of the node was revoked: nothing is started."""


def wait_for_run_of(node: NodeRef, tree: Tree) -> UUID | None:
    """Launch a tree, and let the node wait for the run: both in one transaction, so that there is one run or none.

    Transient database errors are retried, unless the caller has opened a transaction.

    Args:
        node: the attempt, which ends.
        tree: the tree.

    Returns:
        The ID of the run; None if the node was revoked instead, because its run has ended or its subtree was revoked.

    Raises:
        StaleAttempt: if another attempt has taken over, or the node has finished already.
        RunsTooDeep: if the run would be nested too deeply.
        SerializationError, BrokenReference, InvalidOption: see :meth:`TaskTree.apply_async`.
    """
    run_id = new_id()

    def attempt(again: bool) -> UUID:
        # An earlier try may have committed although its reply was lost. The sweep sends its messages.
        if not (again and has_begun(node, run_id)):
            with transaction.atomic(using=write_alias()):
                _start(node, tree, run_id)
        return run_id

    try:
        return retry_transient_flagged(attempt)
    except _Stopped:
        retry_transient(lambda: hold_stopped(node))
        error = NodeError("django_tasktree.exceptions.NodeNotRun", "it was revoked before it could start its run")
        finish_and_propagate(node, Outcome(NodeState.REVOKED, error=error))
        return None


def _start(node: NodeRef, tree: Tree, run_id: UUID) -> None:
    # Insert the run before the run of the node is locked: the rows of a large tree take a while.
    spec = _spec(node, tree, run_id)
    launch_tree(tree, spec)
    if tree.returned and spec.returns is None:
        raise ValueTooLarge(
            f"the result of {tree!r} refers to so many nodes that it exceeds TASKTREE['MAX_ARGS_SIZE']: use a chord "
            "whose body returns less, or increase the setting"
        )
    state = begin_to_wait(node, run_id)
    if state == RunState.REVOKED:
        raise _Stopped
    if state == RunState.PAUSED:
        pause_run(run_id)
    free_place_after_commit(node)


def _spec(node: NodeRef, tree: Tree, run_id: UUID) -> RunSpec:
    origin = origin_of(node)
    return RunSpec(
        id=run_id,
        name=tree.name or tree.definition or storable(_name_of(node, origin), NAME_LENGTH),
        definition=tree.definition,
        params=tree.params,
        launched_by_id=origin.launched_by_id,
        on_failure=OnFailure(tree.on_failure),
        max_active=tree.max_active,
        parent=node,
        depth=origin.depth,
    )


def _name_of(node: NodeRef, origin: Origin) -> str:
    """Return the name of a node, for a run that has none of its own: the path of the node, or its task's name."""
    return paths_of([node.id]).get(node.id) or short_name(origin.task)
