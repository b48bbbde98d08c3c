"""Random trees of random outcomes against a simple model of the rules: every node must end as the model says."""

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from django_tasktree import TaskTree
from django_tasktree.engine.claim import claim
from django_tasktree.engine.finish import finish
from django_tasktree.engine.settle import half_settled, settle
from django_tasktree.engine.specs import Outcome
from django_tasktree.models import NodeRun, TreeRun
from django_tasktree.states import NodeState
from django_tasktree.worker.message import ref_of
from tests.integration.engine.trees import persist
from tests.model import STATES, Model, Shape
from tests.sample.tasks import echo


def _assemble(drawn):
    """Hang each node below an earlier one, or below the tree."""
    top = Shape()
    placed = [top]
    for run_when, gather, outcome, allow_failure, on_failure, where in drawn:
        parent = placed[where % len(placed)]
        if parent is top and not gather and run_when == "failure":
            run_when = "always"  # refused for root nodes
        node = Shape(run_when, gather, outcome, allow_failure, on_failure, parent)
        parent.children.append(node)
        placed.append(node)
    return top


NODES = st.tuples(
    st.sampled_from(["success", "success", "failure", "always"]),
    st.sampled_from([False, False, False, True]),
    st.sampled_from(["SUCCESS", "SUCCESS", "SUCCESS", "FAILURE", "STOP", "IGNORE", "REVOKED"]),
    st.sampled_from([False, False, True]),
    st.sampled_from(["continue", "stop"]),
    st.integers(0, 1000),
)
TREES = st.lists(NODES, max_size=25).map(_assemble)


def execute(top, seed):
    """Run the tree on the engine, one message after another in random order; gives the model the same order."""
    tree, shapes = TaskTree(), {}
    stack = [(tree, top)]
    while stack:
        parent, shape = stack.pop()
        for child in shape.children:
            add = parent.gather if child.gather else parent.add_task
            rules = {"allow_failure": child.allow_failure, "on_failure": child.on_failure}
            node = add(echo, run_when=child.run_when, **rules)
            shapes[node] = child
            stack.append((node, child))
    launched, keys = persist(tree)
    shape_of = {keys[node]: shape for node, shape in shapes.items()}
    model = Model(top)
    queue, chance = list(launched.dispatches), random.Random(seed)
    while queue:
        message = ref_of(queue.pop(chance.randrange(len(queue))))
        shape = shape_of[message.id]
        assert claim(message, "w") == (shape.state == "QUEUED")
        if shape.state == "QUEUED":
            queue.extend(_end(message, shape.outcome))
            model.end(shape)
    return launched.run_id, shape_of, model


def _end(message, outcome):
    state = STATES.get(outcome, outcome)
    released = finish(message, Outcome(NodeState(state), result="1", stop=outcome == "STOP"))
    if dispatches := list(released.dispatches):
        return dispatches
    start = message.id if message.child_count and state != "SKIPPED" else message.parent_id
    starts = [start, *half_settled(message.run_id), None] if released.stopped else [start]
    return [dispatch for start in starts for dispatch in settle(message.run_id, start).dispatches]


@pytest.mark.usefixtures("database")
class TestAgainstTheModel:
    @settings(
        max_examples=80,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )
    @given(top=TREES, seed=st.integers(0, 2**16))
    def test_every_node_ends_as_the_rules_say(self, top, seed):
        run_id, shape_of, model = execute(top, seed)
        actual = dict(NodeRun.objects.filter(run_id=run_id).values_list("id", "state"))
        assert actual == {key: shape.state for key, shape in shape_of.items()}
        assert TreeRun.objects.get(id=run_id).state == ("FAILURE" if model.failed(top) else "SUCCESS")
        reached = NodeRun.objects.filter(run_id=run_id).exclude(state="PENDING")
        assert not reached.filter(settled=False).exists()
