"""Persist a built tree and publish its root nodes once the transaction has committed."""

from uuid import UUID

from django_tasktree.blueprint import draw_run
from django_tasktree.engine.launch import launch
from django_tasktree.engine.specs import RunSpec
from django_tasktree.nodes import NodeParent
from django_tasktree.worker.follow import launched_after_commit
from django_tasktree.worker.reminders import remind_after_commit


def launch_tree(tree: NodeParent, run_spec: RunSpec) -> tuple[UUID, dict[object, UUID]]:
    """Make a run of a tree.

    Returns:
        The run's key and the key of each built node; none where ``run_spec.key`` gave a run that existed already.
    """
    blueprint = draw_run(tree, run_spec)
    launched = launch(run_spec, blueprint.specs)
    launched_after_commit(launched)
    if launched.created:
        remind_after_commit(run_spec)
    return launched.run_id, dict(blueprint.keys) if launched.created else {}
