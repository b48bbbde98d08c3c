"""Make runs for engine tests without Celery: rows only."""

import uuid

from django_tasktree.blueprint import draw
from django_tasktree.engine.launch import launch
from django_tasktree.engine.specs import NodeRef, Outcome, Place, RunSpec
from django_tasktree.models import NodeRun
from django_tasktree.states import NodeState, OnFailure
from django_tasktree.tree import TaskTree
from tests.sample.tasks import echo

SUCCESS = Outcome(NodeState.SUCCESS, result="1")
FAILURE = Outcome(NodeState.FAILURE)


def tree_of(*children):
    """Build a tree from nested lists: ``tree_of([], [[], []])`` has two root nodes, the second with two children."""
    tree = TaskTree()
    stack = [(tree, children)]
    while stack:
        parent, shapes = stack.pop()
        stack.extend((parent.add_task(echo), shape) for shape in shapes)
    return tree


def persist(tree, **run):
    """Launch without publishing; gives the run's key and the node keys by built node."""
    spec = RunSpec(on_failure=OnFailure(tree.on_failure), max_active=tree.max_active, **run)
    stops = spec.id if spec.on_failure == OnFailure.STOP else None
    limiter = spec.id if spec.max_active is not None else None
    blueprint = draw(tree, Place(spec.id, stops=stops, limiter=limiter))
    return launch(spec, blueprint.specs), blueprint.keys


def ref(node_id, **changes):
    """Name the current attempt at a node."""
    row = NodeRun.objects.get(id=node_id)
    values = {
        "id": row.id,
        "run_id": row.run_id,
        "parent_id": row.parent_id,
        "task_id": row.task_id,
        "child_count": row.child_count,
        "stops": row.stops,
        "limiter": row.limiter,
        "max_active": row.max_active,
    }
    return NodeRef(**{**values, **changes})


def state(node_id):
    return NodeRun.objects.get(id=node_id).state


def other_token():
    return uuid.uuid4()
