"""Random trees with random outcomes, events and sub-runs, compared with a simple model of the rules."""

import random
from collections import defaultdict
from collections.abc import Callable
from copy import deepcopy
from functools import partial
from unittest import mock
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from django_tasktree import NodeResult, TreeResult
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
from django_tasktree.worker.arguments import fill_in
from tests.integration.engine.forests import EVENTS, HOUR, Node, build, forests, output, outputs, trees_of
from tests.model import STATES, Model

#: The maximum number of runs in which a run is nested.
DEPTH = 2


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
