"""Random trees with random outcomes, compared with a simple model of the rules."""

import random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from django_tasktree import TaskTree
from django_tasktree.builder.nodes import NodeParent, TaskTreeNode
from django_tasktree.engine.lifecycle.claim import claim
from django_tasktree.engine.lifecycle.finish import finish
from django_tasktree.engine.lifecycle.settle import finished_but_unsettled, settle
from django_tasktree.engine.types import NodeRef, Outcome
from django_tasktree.models import NodeRun, TreeRun
from django_tasktree.states import NodeState
from tests.integration.engine.trees import insert_run
from tests.model import STATES, Model, Shape
from tests.sample.tasks import echo

#: The states of the model in which a node has been queued, or has begun to wait.
BEGUN = ("QUEUED", "WAITING")


def _assemble(drawn):
    """Add each node below an earlier one, or below the tree."""
    top = Shape()
    placed = [top]
    for run_when, kind, outcome, allow_failure, on_failure, where in drawn:
        gather = kind == "gather"
        parent = placed[where % len(placed)]
        if parent is top and not gather and run_when == "failure":
            run_when = "always"  # refused for root nodes
        node = Shape(run_when, gather, kind == "wait", outcome, allow_failure, on_failure, parent)
        parent.children.append(node)
        placed.append(node)
    return top


NODES = st.tuples(
    st.sampled_from(["success", "success", "failure", "always"]),
    st.sampled_from(["task", "task", "task", "gather", "wait"]),
    st.sampled_from(["SUCCESS", "SUCCESS", "SUCCESS", "FAILURE", "STOP", "IGNORE", "REVOKED"]),
    st.sampled_from([False, False, True]),
    st.sampled_from(["continue", "stop", "terminate"]),
    st.integers(0, 1000),
)
TREES = st.lists(NODES, max_size=25).map(_assemble)


def execute(top, seed):
    """Run a tree on the engine, one message at a time in random order, and the model in the same order."""
    tree, shapes = TaskTree(), {}
    stack: list[tuple[NodeParent, Any]] = [(tree, top)]
    while stack:
        parent, shape = stack.pop()
        for child in shape.children:
            rules: dict[str, Any] = {"allow_failure": child.allow_failure, "on_failure": child.on_failure}
            rules["run_when"] = child.run_when
            if child.wait:
                node: TaskTreeNode = parent.wait_for("event", label=str(len(shapes)), **rules)
            else:
                node = (parent.gather if child.gather else parent.add_task)(echo, **rules)
            shapes[node] = child
            stack.append((node, child))
    launched, keys = insert_run(tree)
    shape_of = {keys[node]: shape for node, shape in shapes.items()}
    model = Model(top)
    queue, rng = list(launched.dispatches), random.Random(seed)
    while queue:
        message = NodeRef.of(queue.pop(rng.randrange(len(queue))))
        shape = shape_of[message.id]
        assert _begin(message, shape) == (shape.state in BEGUN)
        if shape.state in BEGUN:
            queue.extend(_end(message, shape))
            model.end(shape)
    return launched.run_id, shape_of, model


def _begin(message, shape):
    """Claim a node; return whether it has started, or whether it waits."""
    if shape.wait:
        return NodeRun.objects.get(id=message.id).state == NodeState.WAITING
    return claim(message, "w")


def _end(message, shape):
    state = STATES.get(shape.outcome, shape.outcome)
    sources = [NodeState.WAITING if shape.wait else NodeState.STARTED]
    outcome = Outcome(NodeState(state), result="1", skip_children=shape.outcome == "STOP")
    released = finish(message, outcome, sources)
    if dispatches := list(released.dispatches):
        return dispatches
    start = message.id if message.child_count and state != "SKIPPED" else message.parent_id
    starts = [start, *finished_but_unsettled(message.run_id), None] if released.stopped else [start]
    return [dispatch for start in starts for dispatch in settle(message.run_id, start).dispatches]


@pytest.mark.usefixtures("database")
class TestAgainstTheModel:
    @settings(
        max_examples=80,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )
    @given(top=TREES, seed=st.integers(0, 2**16))
    def test_the_final_states_are_those_of_the_model(self, top, seed):
        run_id, shape_of, model = execute(top, seed)
        actual = dict(NodeRun.objects.filter(run_id=run_id).values_list("id", "state"))
        assert actual == {key: shape.state for key, shape in shape_of.items()}
        assert TreeRun.objects.get(id=run_id).state == ("FAILURE" if model.failed(top) else "SUCCESS")
        reached = NodeRun.objects.filter(run_id=run_id).exclude(state="PENDING")
        assert not reached.filter(settled=False).exists()
