"""Random trees with random outcomes, compared with a simple model of the rules."""

import random
from collections import deque
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from django_tasktree import TaskTree
from django_tasktree.builder.nodes import NodeParent
from django_tasktree.engine.lifecycle.claim import claim
from django_tasktree.engine.lifecycle.finish import finish
from django_tasktree.engine.lifecycle.settle import finished_but_unsettled, settle
from django_tasktree.engine.types import NodeRef, Outcome
from django_tasktree.models import NodeRun, TreeRun
from django_tasktree.states import NodeState
from tests.integration.engine.trees import insert_run
from tests.model import FAILED, STATES, Model, Shape
from tests.sample.tasks import echo

#: The states of the model in which a node has been queued, or has begun to wait.
BEGUN = ("QUEUED", "WAITING")


def _assemble(drawn):
    """Add each node below an earlier one, or below the tree."""
    top = Shape()
    placed = [top]
    for run_when, kind, outcome, allow_failure, on_failure, where, items, quorum in drawn:
        gather = kind == "gather"
        parent = placed[where % len(placed)]
        # A map has only gather nodes beside its items.
        is_gather = gather or parent.is_map
        if parent is top and not is_gather and run_when == "failure":
            run_when = "always"  # refused for root nodes
        waits = kind == "wait" and not is_gather
        node = Shape(run_when, is_gather, waits, outcome, allow_failure, on_failure, parent=parent)
        node.quorum = quorum if is_gather else 0
        if items is not None and not is_gather and not waits:
            _make_map(node, *items)
        parent.children.append(node)
        placed.append(node)
    return top


def _make_map(node, tolerate, outcomes, below):
    """Turn a node into a map with an item for each outcome, and with the same nodes below each item."""
    node.is_map, node.tolerate, node.allow_failure = True, tolerate, False
    if tolerate is not None:
        node.on_failure = "continue"
    for outcome, *others in outcomes:
        item = Shape(outcome=outcome, parent=node)
        node.children.append(item)
        for run_when, other in zip(below, others, strict=False):
            item.children.append(Shape(run_when, outcome=other, parent=item))


OUTCOMES = st.sampled_from(["SUCCESS", "SUCCESS", "SUCCESS", "FAILURE", "STOP", "IGNORE", "REVOKED"])
WHEN = st.sampled_from(["success", "success", "failure", "always"])
MAPS = st.tuples(
    st.sampled_from([None, 0, 1, 2]),
    st.lists(st.tuples(OUTCOMES, OUTCOMES, OUTCOMES), max_size=4),
    st.lists(WHEN, max_size=2),
)
NODES = st.tuples(
    WHEN,
    st.sampled_from(["task", "task", "task", "gather", "wait"]),
    OUTCOMES,
    st.sampled_from([False, False, True]),
    st.sampled_from(["continue", "stop", "terminate"]),
    st.integers(0, 1000),
    st.none() | st.none() | MAPS,
    st.sampled_from([0, 0, 1, 2]),
)
TREES = st.lists(NODES, max_size=25).map(_assemble)


def _add(parent, shape):
    """Add the node of a shape to a tree; return it, and the shapes that are added to it."""
    if shape.is_map:
        items = [child for child in shape.children if not child.gather]
        node = parent.map(
            echo,
            over=range(len(items)),
            tolerate=shape.tolerate,
            run_when=shape.run_when,
            on_failure=shape.on_failure,
        )
        for below in items[0].children if items else ():
            node.each.add_task(echo, run_when=below.run_when)
        return node, [child for child in shape.children if child.gather]
    rules: dict[str, Any] = {"allow_failure": shape.allow_failure, "on_failure": shape.on_failure}
    rules["run_when"] = shape.run_when
    if shape.wait:
        return parent.wait_for("event", label=str(id(shape)), **rules), shape.children
    if shape.gather:
        return parent.gather(echo, when=shape.quorum or "all", **rules), shape.children
    return parent.add_task(echo, **rules), shape.children


def _items_of(key, shape):
    """Yield the IDs and the shapes of the items of a map, and of what is below them."""
    pairs = [(key, shape)]
    for parent, above in pairs:
        rows = NodeRun.objects.filter(parent=parent, is_gather=False).order_by("position")
        tasks = [child for child in above.children if not child.gather]
        below = list(zip(rows.values_list("id", flat=True), tasks, strict=True))
        pairs += below
        yield from below


def execute(top, seed):
    """Run a tree on the engine, one message at a time in random order, and the model in the same order."""
    tree, shapes = TaskTree(), {}
    stack: list[tuple[NodeParent, Any]] = [(tree, top.children)]
    while stack:
        parent, shape = stack.pop()
        for child in shape:
            node, below = _add(parent, child)
            shapes[node] = child
            stack.append((node, below))
    launched, keys = insert_run(tree)
    shape_of = {keys[node]: shape for node, shape in shapes.items()}
    for key, shape in list(shape_of.items()):
        if shape.is_map:
            shape_of.update(_items_of(key, shape))
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
    is_leaf = not message.child_count or state == "SKIPPED"
    starts = deque([(message.parent_id if is_leaf else message.id, is_leaf and state in FAILED)])
    if released.stopped:
        starts += _anywhere(message.run_id)
    queued = []
    while starts:
        start, failed = starts.popleft()
        settled = settle(message.run_id, start, failed=failed)
        queued += settled.dispatches
        if settled.stopped:
            starts += _anywhere(message.run_id)
    return queued


def _anywhere(run_id):
    return [*((node, True) for node in finished_but_unsettled(run_id)), (None, False)]


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
