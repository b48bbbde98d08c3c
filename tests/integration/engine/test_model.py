"""Random trees with random outcomes, events and sub-runs, compared with a simple model of the rules."""

import random
from collections import defaultdict, deque
from collections.abc import Callable
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any
from unittest import mock
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from django_tasktree import NodeResult, TaskTree, TreeResult
from django_tasktree.builder.nodes import NodeParent
from django_tasktree.control.waits import end_wait
from django_tasktree.dispatch import publisher
from django_tasktree.dispatch.after_commit import finish_and_propagate
from django_tasktree.dispatch.sub_runs import wait_for_run_of
from django_tasktree.encoding import serialization, times
from django_tasktree.engine.lifecycle.claim import claim
from django_tasktree.engine.types import NodeRef, Outcome
from django_tasktree.exceptions import BrokenReference, NotPossible, RunsTooDeep
from django_tasktree.models import NodeRun, RunEvent, TreeRun
from django_tasktree.reporting.node_paths import node_at
from django_tasktree.states import NodeState
from django_tasktree.testing import registered
from django_tasktree.worker.arguments import fill_in
from tests.model import STATES, Model, Shape
from tests.sample.tasks import echo

#: The maximum number of runs in which a run is nested.
DEPTH = 2
EVENTS = ("one", "two")
HOUR = timedelta(hours=1)


@dataclass(eq=False)
class Part:
    """A tree that is grafted into others, and that nodes start as a sub-run.

    Attributes:
        top: its nodes, of which each run has a copy.
        returns: which result it declares: ``"output"`` of its last root node, ``"outputs"`` of all, or none.
        tree: the same as a tree; one for all runs and grafts.
    """

    top: "Node"
    returns: str
    tree: Any = field(default=None, repr=False)

    def __deepcopy__(self, _memo):
        return self

    def result(self, roots):
        """Return the result of a run; LookupError: it refers to a node without one."""
        return self.output(roots) if self.returns else None

    def output(self, roots):
        """Return the result of a graft, likewise."""
        if self.returns == "outputs":
            return outputs(roots)
        gathers = [] if self.returns else [root for root in roots if root.gather]
        return output((gathers or roots)[-1]) if roots else None


@dataclass(eq=False, repr=False)
class Node(Shape):
    """A node of the model.

    Attributes:
        graft: the tree of which a copy is below it, as its first children.
        part: the index of the tree that it starts as a sub-run; None: it has a task.
        args: the nodes whose results it takes, besides those of its siblings.
    """

    graft: Part | None = field(default=None, repr=False)
    part: int | None = None
    args: tuple["Node", ...] = field(default=(), repr=False)

    @property
    def roots(self):
        """The root nodes of the tree that is grafted below it."""
        return self.children[: len(self.graft.top.children)] if self.graft else []


def outputs(nodes):
    """Return the results of those of some siblings that have succeeded."""
    return [node.result for node in nodes if not node.gather and node.state == "SUCCESS"]


def output(node):
    """Return what a node's ``output`` refers to."""
    if node.graft is not None:
        return node.graft.output(node.roots)
    if node.state != "SUCCESS":
        raise LookupError
    return node.result


def _assemble(drawn, parts, on_failure="continue"):
    """Add each node below an earlier one, or below the tree."""
    top = Node(on_failure=on_failure)
    placed = [top]
    for number, (rules, kind, where, which, items, label) in enumerate(drawn):
        parent = placed[where % len(placed)]
        # A map has only gather nodes beside its items.
        node = _node(rules, "gather" if parent.is_map else kind, which, items, parts)
        if parent is top and not node.gather and node.run_when == "failure":
            node.run_when = "always"  # refused for root nodes
        node.parent, node.result = parent, number
        if all(label != sibling.label for sibling in parent.children):
            node.label = label
        if node.wait and node.label is None:
            node.label = f"wait {number}"
        if node.gather and not node.quorum:
            node.args = tuple(other for other in parent.children[len(parent.roots) :] if other.graft)
        parent.children.append(node)
        placed.append(node)
    return top


def _node(rules, kind, which, items, parts):
    run_when, outcome, allow_failure, on_failure, quorum = rules
    node = Node(run_when, kind == "gather", kind == "wait", outcome, allow_failure, on_failure)
    if kind == "gather":
        node.quorum = quorum
    elif kind == "wait":
        node.event = EVENTS[which % 2]
    elif kind == "run":
        node.part = which
    elif kind == "graft" and parts:
        graft = node.graft = parts[which % len(parts)]
        node.allow_failure, node.on_failure = False, graft.top.on_failure
        _copy_below(node, graft.top)
    elif items is not None:
        _make_map(node, *items)
    return node


def _copy_below(node, top):
    copied = deepcopy(top)
    for child in copied.children:
        child.parent = node
    node.children = copied.children


def _make_map(node, tolerate, outcomes, below):
    """Turn a node into a map with an item for each outcome, and with the same nodes below each item."""
    node.is_map, node.tolerate, node.allow_failure = True, tolerate, False
    if tolerate is not None:
        node.on_failure = "continue"
    for outcome, *others in outcomes:
        item = Node(outcome=outcome, parent=node, result=len(node.children))
        node.children.append(item)
        for (run_when, kind), other in zip(below, others, strict=False):
            wait = kind == "wait"
            # The nodes of all items have the time-out of the first one.
            ends = outcomes[0][1 + len(item.children)] if wait else other
            child = Node(run_when, wait=wait, outcome=ends, event=EVENTS[0] if wait else "", parent=item)
            child.part = 0 if kind == "run" else None
            child.label = f"wait {len(item.children)}" if wait else None
            item.children.append(child)


OUTCOMES = st.sampled_from(["SUCCESS", "SUCCESS", "SUCCESS", "FAILURE", "STOP", "IGNORE", "REVOKED"])
WHEN = st.sampled_from(["success", "success", "failure", "always"])
MAPS = st.tuples(
    st.sampled_from([None, 0, 1, 2]),
    st.lists(st.tuples(OUTCOMES, OUTCOMES, OUTCOMES), max_size=4),
    st.lists(st.tuples(WHEN, st.sampled_from(["task", "task", "task", "wait", "run"])), max_size=2),
)
RULES = st.tuples(
    WHEN,
    OUTCOMES,
    st.sampled_from([False, False, True]),
    st.sampled_from(["continue", "stop", "terminate"]),
    st.sampled_from([0, 0, 1, 2]),
)
NODES = st.tuples(
    RULES,
    st.sampled_from(["task", "task", "task", "task", "gather", "gather", "wait", "run", "graft"]),
    st.integers(0, 1000),
    st.integers(0, 1000),
    st.none() | st.none() | MAPS,
    # Numbers are labels, too; labels differ in case only.
    st.sampled_from([None, None, None, "a", "A", "1", "2"]),
)
PARTS = st.lists(
    st.tuples(
        st.lists(NODES, max_size=4),
        st.sampled_from(["continue", "continue", "stop"]),
        st.sampled_from(["", "output", "outputs"]),
    ),
    min_size=1,
    max_size=2,
)


@st.composite
def forests(draw):
    """Draw a tree, and the trees that it contains."""
    parts: list[Part] = []
    for drawn, on_failure, returns in draw(PARTS):
        parts.append(Part(_assemble(drawn, list(parts), on_failure), returns))
    return _assemble(draw(st.lists(NODES, max_size=25)), parts), parts


def part(number: int) -> TaskTree:
    """Stand for the trees of sub-runs."""
    return TaskTree(str(number))


def build(top):
    """Build the tree of a model."""
    tree = TaskTree(on_failure=top.on_failure)
    built: dict[Node, NodeParent] = {top: tree}
    parents = deque([top])
    while parents:
        above = parents.popleft()
        for shape in above.children[len(above.roots) :]:
            if not above.is_map or shape.gather:
                built[shape] = _add(built, built[above], shape)
                parents.append(shape)
    return tree


def _add(built, parent, shape):
    rules: dict[str, Any] = {"run_when": shape.run_when, "label": shape.label}
    if shape.graft:
        return parent.add_tree(shape.graft.tree, **rules)
    rules["on_failure"] = shape.on_failure
    if shape.is_map:
        return _add_map(parent, shape, rules)
    rules["allow_failure"] = shape.allow_failure
    if shape.gather:
        outputs = [parent.outputs, *(built[graft].output for graft in shape.args)]
        return parent.gather(echo, [outputs], when=shape.quorum or "all", **rules)
    return _add_one(parent, shape, rules)


def _add_one(parent, shape, rules):
    if shape.wait:
        ends = {"FAILURE": "failure", "IGNORE": "skip"}.get(shape.outcome, "success")
        default = shape.result if ends == "success" else None
        return parent.wait_for(shape.event, timeout=HOUR, on_timeout=ends, default=default, **rules)
    if shape.part is not None:
        return parent.add_run("part", {"number": shape.part}, **rules)
    return parent.add_task(echo, **rules)


def _add_map(parent, shape, rules):
    items = [child for child in shape.children if not child.gather]
    node = parent.map(echo, over=range(len(items)), tolerate=shape.tolerate, **rules)
    for below in items[0].children if items else ():
        _add_one(node.each, below, {"run_when": below.run_when, "label": below.label})
    return node


class Execution:
    """The engine and the model, which do the same in the same order: one step at a time, at random."""

    def __init__(self, top, parts, seed):
        self.parts = parts
        self.choose = random.Random(seed)
        self.messages: list[NodeRef] = []
        self.models: dict[UUID, Model] = {}
        self.shapes: dict[UUID, Node] = {}
        self.events_left = self.choose.randrange(8)
        with mock.patch.object(publisher, "send", lambda app, dispatch, producer: self.receive(dispatch)):
            self.start(build(top).apply_async().id, Model(top))
            while steps := self.steps():
                self.choose.choice(steps)()

    def receive(self, dispatch):
        self.messages.append(dispatch)

    def start(self, run_id, model):
        """Assign the rows of a new run to the nodes of its model."""
        self.models[run_id] = model
        below = defaultdict(list)
        rows = NodeRun.objects.filter(run_id=run_id).values_list("parent_id", "is_gather", "position", "id")
        for parent_id, is_gather, position, key in rows:
            below[parent_id].append((is_gather, position, key))
        for node in model.subtree(model.top):
            # In a map, the gather nodes come after the items.
            keys = sorted(below[node.key], key=lambda row: row if node.is_map else row[1:])
            for child, (_, _, key) in zip(node.children, keys, strict=True):
                child.key = key
                self.shapes[key] = child

    def steps(self):
        """Return what may happen next."""
        steps: list[Callable[[], None]] = [partial(self.deliver, number) for number in range(len(self.messages))]
        for run_id, model in self.models.items():
            waiting = [node for node in model.subtree(model.top) if node.state == "WAITING" and node.run is None]
            steps += [partial(self.end_wait, node, model) for node in waiting]
            if self.events_left and steps:
                steps.append(partial(self.send_event, run_id, model))
        return steps

    def deliver(self, number):
        """Run the attempt of a message, which may be out of date."""
        dispatch = self.messages.pop(number)
        ref = NodeRef.of(dispatch)
        shape, model = self.shapes[ref.id], self.models[ref.run_id]
        assert claim(ref, "w") == (shape.state == "QUEUED")
        if shape.state == "QUEUED":
            if shape.gather:
                self.compare_arguments(dispatch, shape)
            if shape.part is None:
                self.end(ref, shape, model, [NodeState.STARTED])
            else:
                self.start_sub_run(ref, shape, model)

    def compare_arguments(self, dispatch, shape):
        """Compare the results that a gather node gets."""
        try:
            expected = [[outputs(shape.parent.children), *map(output, shape.args)]]
        except LookupError:
            expected = None
        try:
            actual, _ = fill_in(dispatch.run_id, serialization.loads(dispatch.args), {})
        except BrokenReference:
            actual = None
        assert actual == expected

    def end(self, ref, shape, model, sources):
        state = NodeState(STATES.get(shape.outcome, shape.outcome))
        result = serialization.write(shape.result, "max_result_size") if state == NodeState.SUCCESS else None
        outcome = Outcome(state, result=result, skip_children=shape.outcome == "STOP")
        finish_and_propagate(ref, outcome, sources)
        model.end(shape)

    def start_sub_run(self, ref, shape, model):
        part = self.parts[shape.part % len(self.parts)]
        try:
            run_id = wait_for_run_of(ref, part.tree)
        except RunsTooDeep:
            assert model.depth == DEPTH
            finish_and_propagate(ref, Outcome(NodeState.FAILURE))
            model.end(shape, "FAILURE")
        else:
            top = deepcopy(part.top)
            model.wait_for_run(shape, top, lambda top: part.result(top.children))
            self.start(run_id, shape.run)

    def end_wait(self, shape, model):
        """End a wait by an answer, or by its time; some outcomes only exist in this test."""
        row = NodeRun.objects.get(id=shape.key)
        if shape.outcome in ("STOP", "REVOKED"):
            self.end(NodeRef.of(row), shape, model, [NodeState.WAITING])
        elif shape.outcome == "SUCCESS" and self.choose.random() < 0.5:
            NodeResult(row.id).complete(shape.result)
            model.end(shape)
        else:
            NodeRun.objects.filter(id=row.id).update(eta=times.now() - HOUR)
            assert end_wait(row.id, row.task_id)
            model.end(shape)

    def send_event(self, run_id, model):
        self.events_left -= 1
        event, payload = self.choose.choice(EVENTS), f"event {self.events_left}"
        if model.state == "STARTED":
            TreeResult(run_id).send_event(event, payload)
            model.send(event, payload)
        else:
            with pytest.raises(NotPossible):
                TreeResult(run_id).send_event(event, payload)

    def compare(self):
        """Compare the rows with the nodes and runs of the model."""
        rows = NodeRun.objects.filter(run_id__in=self.models)
        actual = {row.id: (row.state, row.result and serialization.loads(row.result)) for row in rows}
        assert actual == {
            key: (node.state, node.result if node.state == "SUCCESS" else None) for key, node in self.shapes.items()
        }
        assert not rows.exclude(state="PENDING").filter(settled=False).exists()
        assert {row.id: (row.state, row.depth, row.parent_node_id) for row in self.runs()} == {
            run_id: (model.state, model.depth, model.above and model.above[1].key)
            for run_id, model in self.models.items()
        }
        taken = RunEvent.objects.filter(run_id__in=self.models, taken_at__isnull=False)
        assert sorted(taken.values_list("payload", "taken_by")) == self.taken()

    def runs(self):
        return TreeRun.objects.filter(id__in=self.models)

    def taken(self):
        """Return the payloads of events that are the results of nodes, with these."""
        return sorted(
            (serialization.write(node.result, "max_result_size"), key)
            for key, node in self.shapes.items()
            if node.wait and node.state == "SUCCESS" and str(node.result).startswith("event ")
        )

    def look_up(self):
        """Look some nodes up by their paths."""
        for run_id, model in self.models.items():
            nodes = model.subtree(model.top)[1:]
            for node in self.choose.sample(nodes, min(3, len(nodes))):
                if (path := path_of(node)) is not None:
                    assert node_at(path, run_id) == node.key, path


def path_of(node):
    """Return the path of a node; None if a label above it is the position that it would need."""
    steps: list[str] = []
    while node.parent is not None:
        siblings = node.parent.children
        step = str(siblings.index(node)) if node.label is None else node.label
        if node.label is None and any(sibling.label == step for sibling in siblings):
            return None
        steps.insert(0, step)
        node = node.parent
    return "/".join(steps)


@contextmanager
def trees_of(parts):
    """Build the trees of sub-runs and grafts once, however often they are used."""
    with registered(part):
        for each in parts:
            each.tree = build(each.top)
            if each.returns:
                roots = each.tree.children
                each.tree.returns(each.tree.outputs if each.returns == "outputs" else returned(roots))
        yield


def returned(roots):
    return roots[-1].output if roots else None


@pytest.mark.usefixtures("database")
class TestAgainstTheModel:
    @pytest.fixture(autouse=True)
    def messages_and_depth(self, settings):
        """Give each node a message of its own, and let sub-runs reach the maximum depth."""
        settings.TASKTREE = {"SHARE_MESSAGE_FOR": 0, "MAX_RUN_DEPTH": DEPTH}

    @settings(
        max_examples=60,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )
    @given(forest=forests(), seed=st.integers(0, 2**16))
    def test_the_final_states_and_results_are_those_of_the_model(self, forest, seed):
        top, parts = forest
        with trees_of(parts):
            execution = Execution(top, parts, seed)
        execution.compare()
        execution.look_up()
