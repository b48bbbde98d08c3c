"""The oracle of the storm finds what is wrong, and nothing in what is right."""

from random import Random
from types import SimpleNamespace
from uuid import UUID

import pytest

from tests.faults.storm import oracle, planned
from tests.faults.storm.oracle import Line


@pytest.fixture
def run():
    """A task, its child, and a gather node; an atomic node beside them that must not run twice."""
    run = planned.a_run(Random(0), "run", 0, steered=False)
    for label, parent, options in (
        ("top", None, {}),
        ("child", "top", {}),
        ("skipped", "child", {"run_when": "failure"}),
        ("gather", "top", {"gather": True}),
        ("atomic", None, {"kind": "atomic"}),
        ("once", None, {"kind": "once"}),
        ("grows", None, {"kind": "grows"}),
    ):
        above = run.nodes[parent] if parent else run.top
        node = planned.Planned(outcome="SUCCESS", parent=above, label=label, **options)
        above.children.append(node)
        run.nodes[label] = node
    return run


class World:
    """Rows and lines as a good engine would leave them."""

    def __init__(self, run):
        self.run = run
        self.rows, self.lines, self.effects = {}, {}, {}
        for number, (label, node) in enumerate(run.nodes.items(), 1):
            self.add(number, label, node.kind, node.parent.label, node.gather)
        for number in (50, 51):
            self.add(number, "grown", "succeeds", "grows", False)
        self.rows["skipped"].state = "SKIPPED"
        self.lines.pop(str(self.rows["skipped"].id))
        self.effects[self.rows["atomic"].id] = 1

    def add(self, number, label, kind, parent, gather):
        token = f"{UUID(int=100 + number)} 0"
        row = SimpleNamespace(
            id=UUID(int=number),
            parent_id=self.rows[parent].id if parent else None,
            label=label,
            kind=kind,
            is_gather=gather,
            state="SUCCESS",
            error_type="",
            error_message="",
            task_id=UUID(int=100 + number),
            token=token,
        )
        self.rows[f"{label} {number}" if label == "grown" else label] = row
        given = {"child": lambda: self.rows["top"].token, "gather": lambda: [self.rows["child"].token]}
        at = 10.0 * number
        self.lines[str(row.id)] = [
            Line("start", str(row.id), token, at, given[label]() if label in given else None),
            Line("end", str(row.id), token, at + 5),
        ]

    def found(self):
        return list(oracle.violations(self.run, list(self.rows.values()), self.lines, self.effects))

    def body(self, label):
        return self.lines[str(self.rows[label].id)]

    def shift(self, label, seconds):
        key = str(self.rows[label].id)
        self.lines[key] = [
            Line(line.what, line.node, line.attempt, line.at + seconds, line.given) for line in self.lines[key]
        ]


@pytest.fixture
def world(run):
    return World(run)


def test_what_is_right_is_right(world):
    assert world.found() == []


def test_an_attempt_that_starts_twice(world):
    world.body("top").append(world.body("top")[0])
    assert any("an attempt at top started twice" in each for each in world.found())


def test_a_child_before_its_parent(world):
    world.shift("child", -15)
    assert any("child started before its parent had ended" in each for each in world.found())


def test_a_child_whose_parent_never_ran(world):
    del world.lines[str(world.rows["top"].id)]
    assert any("child started before its parent had ended" in each for each in world.found())


def test_a_gather_node_that_does_not_wait(world):
    world.shift("gather", -18)
    assert any("gather started before child had ended" in each for each in world.found())


def test_a_result_of_another_attempt(world):
    world.rows["top"].token = "another 0"
    found = world.found()
    assert any("top has the result of another 0" in each for each in found)
    assert any("child was given" in each for each in found)


def test_a_success_without_a_body(world):
    del world.lines[str(world.rows["once"].id)]
    assert any("once has the result of" in each for each in world.found())


def test_results_that_are_missing(world):
    start, end = world.body("gather")
    world.lines[str(world.rows["gather"].id)] = [Line("start", start.node, start.attempt, start.at, []), end]
    assert any("gather was given []" in each for each in world.found())


def test_results_that_no_body_returned(world):
    start, end = world.body("child")
    world.lines[str(world.rows["child"].id)] = [Line("start", start.node, start.attempt, start.at, "invented"), end]
    assert any("results that no body returned: ['invented']" in each for each in world.found())


@pytest.mark.parametrize("number", [0, 2])
def test_effects(world, number):
    world.effects[world.rows["atomic"].id] = number
    assert any(f"atomic (SUCCESS) has written {number} times" in each for each in world.found())


@pytest.mark.parametrize("state", ["PENDING", "FAILURE", "SKIPPED"])
def test_a_wrong_state(world, state):
    world.rows["once"].state = state
    assert any(f"once (once) is {state}, and should be SUCCESS" in each for each in world.found())


def test_a_skipped_body_that_ran(world):
    row = world.rows["skipped"]
    world.lines[str(row.id)] = [Line("start", str(row.id), "a 0", 100.0)]
    assert any("skipped was skipped, and its body has run" in each for each in world.found())


def test_a_body_that_must_not_run_twice(world):
    row = world.rows["once"]
    world.body("once").insert(0, Line("start", str(row.id), "b 0", 1.0))
    assert any("once must not run twice, and has started 2 times" in each for each in world.found())


def test_growth_that_is_missing_or_doubled(world):
    del world.rows["grown 51"]
    assert any("grows has grown by 1 nodes" in each for each in world.found())


def test_a_lost_body_may_fail_where_it_must_not_run_twice(world):
    row = world.rows["once"]
    row.state, row.error_type, row.token = "FAILURE", "celery.exceptions.WorkerLostError", None
    assert world.found() == []


def test_plans_have_ends_that_are_known():
    for seed in range(20):
        choose = Random(seed)
        run = planned.a_run(choose, "run", 40, steered=False)
        tree = planned.build(run, choose)
        assert len(tree.children) == len([node for node in run.nodes.values() if node.parent is run.top])
        rows = {label: SimpleNamespace(error_type="") for label in run.nodes}
        states = planned.expected(run, rows)
        assert set(states.values()) <= {"SUCCESS", "FAILURE", "SKIPPED", "PENDING"}
        assert sum(state in ("SUCCESS", "FAILURE") for state in states.values()) > 3
