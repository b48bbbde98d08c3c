"""The oracle of the storm finds every violation, and none in a correct run."""

from random import Random
from types import SimpleNamespace
from uuid import UUID

import pytest

from django_tasktree.testing import registered
from tests.faults.storm import oracle, planned
from tests.faults.storm.oracle import Line
from tests.sample.storm_tasks import storm_part


@pytest.fixture
def run():
    """Return the plan of a run with nodes of several kinds."""
    run = planned.a_run(Random(0), "run", 0, controlled=False)
    for label, parent, options in (
        ("top", None, {}),
        ("child", "top", {}),
        ("skipped", "child", {"run_when": "failure"}),
        ("gather", "top", {"gather": True}),
        ("atomic", None, {"kind": "atomic"}),
        ("once", None, {"kind": "once"}),
        ("grows", None, {"kind": "grows"}),
        ("waits", None, {"kind": "waits", "wait": True}),
        ("starts", None, {"kind": "starts a run"}),
    ):
        above = run.nodes[parent] if parent else run.top
        node = planned.Planned(outcome="SUCCESS", parent=above, label=label, **options)
        above.children.append(node)
        run.nodes[label] = node
    return run


class Recorded:
    """The rows and journal lines that a correct engine leaves."""

    def __init__(self, run):
        self.run = run
        self.rows, self.lines, self.effects = {}, {}, {}
        self.answers = {"answer 1", "answer 2"}
        for number, (label, node) in enumerate(run.nodes.items(), 1):
            self.add(number, label, node.kind, node.parent.label, node.gather)
        for number in (50, 51):
            self.add(number, "grown", "succeeds", "grows", False)
        self.rows["skipped"].state = "SKIPPED"
        self.lines.pop(str(self.rows["skipped"].id))
        self.effects[self.rows["atomic"].id] = 1
        self.rows["waits"].token = "answer 1"
        self.add(60, "inner", "succeeds", None, False)
        self.inner = self.rows.pop("inner")
        self.inner.run_id, self.inner.run_state, self.inner.started_by = 1, "SUCCESS", self.rows["starts"].id
        self.rows["starts"].token = self.inner.token
        for label in ("waits", "starts"):
            del self.lines[str(self.rows[label].id)]

    def add(self, number, label, kind, parent, gather):
        token = f"{UUID(int=100 + number)} 0"
        row = SimpleNamespace(
            id=UUID(int=number),
            parent_id=self.rows[parent].id if parent else None,
            label=label,
            kind=kind,
            is_gather=gather,
            quorum="",
            value=None,
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

    def violations(self):
        rows = list(self.rows.values())
        return list(oracle.violations(self.run, rows, self.lines, self.effects, [self.inner], self.answers))

    def lines_of(self, label):
        return self.lines[str(self.rows[label].id)]

    def shift(self, label, seconds):
        key = str(self.rows[label].id)
        self.lines[key] = [
            Line(line.what, line.node, line.attempt, line.at + seconds, line.given) for line in self.lines[key]
        ]


@pytest.fixture
def recorded(run):
    return Recorded(run)


def test_a_correct_run_has_no_violations(recorded):
    assert recorded.violations() == []


def test_an_attempt_that_starts_twice(recorded):
    recorded.lines_of("top").append(recorded.lines_of("top")[0])
    assert any("an attempt at top started twice" in each for each in recorded.violations())


def test_a_child_that_starts_before_its_parent_ended(recorded):
    recorded.shift("child", -15)
    assert any("child started before its parent had ended" in each for each in recorded.violations())


def test_a_child_whose_parent_never_ran(recorded):
    del recorded.lines[str(recorded.rows["top"].id)]
    assert any("child started before its parent had ended" in each for each in recorded.violations())


def test_a_child_whose_parent_was_completed(recorded):
    recorded.run.controlled = True
    recorded.rows["top"].token = None
    del recorded.lines[str(recorded.rows["top"].id)]
    assert not any("had ended" in each for each in recorded.violations())


def test_a_gather_node_that_does_not_wait(recorded):
    recorded.shift("gather", -18)
    assert any("gather started before child had ended" in each for each in recorded.violations())


def test_a_result_of_another_attempt(recorded):
    recorded.rows["top"].token = "another 0"
    found = recorded.violations()
    assert any("top (succeeds) has the result of another 0" in each for each in found)
    assert any("child was given" in each for each in found)


def test_a_success_without_an_execution(recorded):
    del recorded.lines[str(recorded.rows["once"].id)]
    assert any("once (once) has the result of" in each for each in recorded.violations())


def test_results_that_are_missing(recorded):
    start, end = recorded.lines_of("gather")
    recorded.lines[str(recorded.rows["gather"].id)] = [Line("start", start.node, start.attempt, start.at, []), end]
    assert any("gather was given []" in each for each in recorded.violations())


def test_results_that_no_attempt_returned(recorded):
    start, end = recorded.lines_of("child")
    recorded.lines[str(recorded.rows["child"].id)] = [
        Line("start", start.node, start.attempt, start.at, "invented"),
        end,
    ]
    assert any("results that no attempt returned: ['invented']" in each for each in recorded.violations())


def test_an_answer_that_nobody_has_sent(recorded):
    recorded.rows["waits"].token = "answer 3"
    assert recorded.violations() == ["run: waits (waits) has the result of answer 3"]


def test_an_answer_that_two_nodes_have_taken(recorded):
    recorded.inner.kind, recorded.inner.token = "waits", "answer 1"
    assert any("an answer was taken by two nodes" in each for each in recorded.violations())


def test_a_sub_run_that_does_not_belong_to_the_outcome(recorded):
    recorded.inner.run_state = "REVOKED"
    assert any("starts (starts a run) is SUCCESS, and its sub-runs are" in each for each in recorded.violations())


def test_a_result_of_another_run(recorded):
    recorded.rows["starts"].token = recorded.rows["top"].token
    assert any("starts (starts a run) has the result of" in each for each in recorded.violations())


@pytest.mark.parametrize("number", [0, 2])
def test_effects(recorded, number):
    recorded.effects[recorded.rows["atomic"].id] = number
    assert any(f"atomic (SUCCESS) has written {number} times" in each for each in recorded.violations())


@pytest.mark.parametrize("state", ["PENDING", "FAILURE", "SKIPPED"])
def test_a_wrong_state(recorded, state):
    recorded.rows["once"].state = state
    assert any(f"once (once) is {state}, and should be SUCCESS" in each for each in recorded.violations())


def test_a_skipped_node_that_ran(recorded):
    row = recorded.rows["skipped"]
    recorded.lines[str(row.id)] = [Line("start", str(row.id), "a 0", 100.0)]
    assert any("skipped was skipped, but its task function has run" in each for each in recorded.violations())


def test_a_second_start_of_a_node_that_must_not_run_twice(recorded):
    row = recorded.rows["once"]
    recorded.lines_of("once").insert(0, Line("start", str(row.id), "b 0", 1.0))
    assert any("once must not run twice, and has started 2 times" in each for each in recorded.violations())


def test_effects_of_a_node_that_an_action_completed(recorded):
    """An action that completes an atomic node runs no task; the effect of one that has run is never missing."""
    recorded.run.controlled = True
    atomic = recorded.rows["atomic"]
    recorded.effects[atomic.id] = 0
    assert recorded.violations() == ["run: atomic has succeeded, and its row is missing"]
    atomic.token = None
    assert recorded.violations() == []


def test_growth_that_is_missing_or_doubled(recorded):
    del recorded.rows["grown 51"]
    assert any("grows has grown by 1 nodes" in each for each in recorded.violations())


def test_a_lost_node_that_must_not_run_twice_may_fail(recorded):
    row = recorded.rows["once"]
    row.state, row.error_type, row.token = "FAILURE", "celery.exceptions.WorkerLostError", None
    assert recorded.violations() == []


def depends_on_stopped_items(node):
    while node.parent is not None:
        if node.quorum and node.parent.is_map and node.parent.tolerate == 0:
            return True
        node = node.parent
    return False


def test_the_final_states_of_plans_are_known():
    for seed in range(20):
        choose = Random(seed)
        run = planned.a_run(choose, "run", 40, controlled=False)
        with registered(storm_part):
            tree = planned.build(run, choose)
        assert len(tree.children) == len([node for node in run.nodes.values() if node.parent is run.top])
        rows = {label: SimpleNamespace(error_type="") for label in run.nodes}
        states = planned.expected(run, rows)
        # Only a quorum of items that are stopped can't be predicted.
        unknown = {label for label in set(run.nodes) - set(states) if not depends_on_stopped_items(run.nodes[label])}
        assert not unknown
        assert set(states.values()) <= {"SUCCESS", "FAILURE", "SKIPPED", "PENDING"}
        assert sum(state in ("SUCCESS", "FAILURE") for state in states.values()) > 3
