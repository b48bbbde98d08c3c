"""Create runs for tests of the engine without Celery: rows only."""

import uuid
from dataclasses import replace
from typing import Any

from django_tasktree.builder.nodes import NodeParent
from django_tasktree.builder.plan import plan_nodes
from django_tasktree.client.tree import TaskTree
from django_tasktree.engine.lifecycle.launch import launch
from django_tasktree.engine.scopes import place_in_run
from django_tasktree.engine.types import NodeRef, Outcome, RunSpec
from django_tasktree.models import NodeRun
from django_tasktree.states import NodeState, OnFailure
from tests.sample.tasks import echo

SUCCESS = Outcome(NodeState.SUCCESS, result="1")
FAILURE = Outcome(NodeState.FAILURE)


def tree_of(*children):
    """Build a tree from nested lists: ``tree_of([], [[], []])`` has two root nodes, the second with two children."""
    tree = TaskTree()
    stack: list[tuple[NodeParent, Any]] = [(tree, children)]
    while stack:
        parent, shapes = stack.pop()
        stack.extend((parent.add_task(echo), shape) for shape in shapes)
    return tree


def insert_run(tree, **run):
    """Launch a tree without publishing; return what was launched, and the IDs of the rows by node of the tree."""
    spec = RunSpec(on_failure=OnFailure(tree.on_failure), max_active=tree.max_active, **run)
    plan = plan_nodes(tree, place_in_run(spec.id, spec.on_failure, spec.max_active))
    return launch(spec, plan), plan.keys


def ref(node_id, **changes):
    """Return a reference to the current attempt of a node."""
    return replace(NodeRef.of(NodeRun.objects.get(id=node_id)), **changes)


def state(node_id):
    """Return the state of a node."""
    return NodeRun.objects.get(id=node_id).state


def other_token():
    """Return a fencing token that no attempt has."""
    return uuid.uuid4()
