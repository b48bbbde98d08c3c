"""Workers, messages, crashes, control and sweeps in any order, on the real engine: what must never happen does not."""

import os
from contextlib import suppress
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from django_tasktree import NodeResult, TaskTree, steering, times
from django_tasktree.engine.claim import claim
from django_tasktree.engine.specs import Outcome
from django_tasktree.exceptions import Fenced, NotPossible
from django_tasktree.models import NodeRun, TreeRun
from django_tasktree.states import ACTIVE, NODE_FINAL, RUN_FINAL, NodeState, fitting
from django_tasktree.sweeping import sweep
from django_tasktree.worker.follow import conclude
from django_tasktree.worker.message import read_header
from tests import simulation
from tests.sample.tasks import echo, fail, flaky

WHEN = st.sampled_from(["success", "failure", "always"])
#: Task, below what (the tree, or the node of that number), when it runs, whether it gathers, what its failure means.
NODES = st.lists(
    st.tuples(
        st.sampled_from(["echo", "fail", "flaky"]),
        st.integers(0, 8),
        WHEN,
        st.booleans(),
        st.sampled_from([{}, {}, {}, {"on_failure": "stop"}, {"allow_failure": True}]),
    ),
    min_size=1,
    max_size=8,
)
NODE_VERBS = ("pause", "resume", "revoke", "retry", "rerun", "skip")

pytestmark = pytest.mark.exhaustive


def build(shapes, **options):
    tree = TaskTree("any", **options)
    built = [tree]
    for number, (task, below, when, gathers, rules) in enumerate(shapes):
        parent = built[below % len(built)]
        when = "success" if parent is tree and when == "failure" else when
        add = parent.gather if gathers else parent.add_task
        arguments = {
            "echo": (echo, [f"n{number}"]),
            "fail": (fail, [f"n{number}"]),
            "flaky": (flaky, [1, f"n{number}"]),
        }
        built.append(add(*arguments[task], run_when=when, **rules))
    return tree


class Machine(RuleBasedStateMachine):
    """The broker's messages, the workers and the bodies that run are the test's; all else is real."""

    world = None

    @initialize()
    def begin(self):
        self.results, self.messages, self.bodies = [], [], []
        self.claimed = set()
        self.finals = {}
        self.names = 0
        self.world.receive_all()
        self.hire()

    def hire(self):
        self.names += 1
        self.worker = self.world.start_worker(f"w{self.names}")

    # What callers do

    @precondition(lambda self: len(self.results) < 3)
    @rule(shapes=NODES, on_failure=st.sampled_from(["continue", "stop"]), max_active=st.sampled_from([None, 1, 2]))
    def launch(self, shapes, on_failure, max_active):
        self.results.append(build(shapes, on_failure=on_failure, max_active=max_active).apply_async())

    @precondition(lambda self: self.results)
    @rule(which=st.integers(0, 2), verb=st.sampled_from(["pause", "resume", "revoke", "retry"]))
    def steer(self, which, verb):
        self.attempt(lambda: getattr(self.results[which % len(self.results)], verb)())

    @precondition(lambda self: self.results)
    @rule(which=st.integers(0, 2))
    def pass_the_deadline(self, which):
        run_id = self.results[which % len(self.results)].id
        runs = TreeRun.objects.filter(id=run_id)
        if runs.exclude(state__in=RUN_FINAL).update(deadline=times.now() - timedelta(days=1)):
            self.attempt(lambda: steering.enforce_deadline(run_id))

    @precondition(lambda self: self.results)
    @rule(which=st.integers(0, 2), node=st.integers(0, 12), verb=st.sampled_from(NODE_VERBS))
    def steer_a_node(self, which, node, verb):
        self.attempt(getattr(self.any_node(which, node), verb))

    @precondition(lambda self: self.results)
    @rule(which=st.integers(0, 2), node=st.integers(-1, 12), when=WHEN, gathers=st.booleans())
    def grow(self, which, node, when, gathers):
        """A node is added below any other, or as a root node."""
        handle = self.results[which % len(self.results)] if node < 0 else self.any_node(which, node)
        when = "success" if node < 0 and when == "failure" else when
        self.attempt(lambda: (handle.gather if gathers else handle.add_task)(echo, ["added"], run_when=when))

    def any_node(self, which, node):
        keys = NodeRun.objects.filter(run_id=self.results[which % len(self.results)].id).order_by("id")
        keys = list(keys.values_list("id", flat=True))
        return NodeResult(keys[node % len(keys)])

    def attempt(self, verb):
        try:
            verb()
        except NotPossible:
            return
        # What was run again may end anew, and otherwise.
        self.finals = {}

    # What the broker does

    @rule()
    def receive(self):
        self.messages += self.world.receive_all()

    @precondition(lambda self: self.messages)
    @rule(which=st.integers(0, 20))
    def lose(self, which):
        self.messages.pop(which % len(self.messages))

    # What workers do

    @precondition(lambda self: self.messages)
    @rule(which=st.integers(0, 20), again=st.booleans())
    def deliver(self, which, again):
        """A whole attempt; the message may come once more."""
        self.take(which, again)

    @precondition(lambda self: self.messages)
    @rule(which=st.integers(0, 20), step=st.integers(1, 12), again=st.booleans())
    def deliver_and_die(self, which, step, again):
        """The worker dies before one of the attempt's statements or messages, or after the last."""
        message = self.messages[which % len(self.messages)]
        if not again:
            self.messages.remove(message)
        with self.world.counting(crash_at=step), suppress(simulation.Crash):
            self.world.deliver(message, self.worker)
        self.die_and_be_swept()

    @precondition(lambda self: self.messages)
    @rule(which=st.integers(0, 20))
    def start_a_body(self, which):
        """A body begins, and ends later."""
        message = self.messages[which % len(self.messages)]
        ref = read_header(message.headers, message.id)
        before = NodeRun.objects.get(id=ref.id)
        if claim(ref, self.worker, self.world.hosts[self.worker].id):
            assert NodeRun.objects.get(id=ref.id).task_id == ref.task_id, "a void message was taken"
            assert ref.task_id not in self.claimed, "two claims of one attempt"
            self.claimed.add(ref.task_id)
            self.check_order(before)
            self.bodies.append(ref)

    @precondition(lambda self: self.bodies)
    @rule(which=st.integers(0, 20), good=st.booleans())
    def end_a_body(self, which, good):
        """Also of a worker that was taken for lost: then it is void."""
        ref = self.bodies.pop(which % len(self.bodies))
        outcome = Outcome(NodeState.SUCCESS, result="1") if good else Outcome(NodeState.FAILURE)
        try:
            conclude(ref, outcome)
        except Fenced:
            row = NodeRun.objects.get(id=ref.id)
            assert row.task_id != ref.task_id or row.state in NODE_FINAL, "an attempt that counts was refused"

    @rule()
    def die(self):
        self.world.kill_worker(self.worker)
        self.hire()

    @rule()
    def die_and_be_swept(self):
        self.die()
        self.time_passes()

    @rule()
    def time_passes(self):
        self.world.pass_time()
        sweep(self.world.app)

    def take(self, which, again):
        message = self.messages[which % len(self.messages)]
        if not again:
            self.messages.remove(message)
        ref = read_header(message.headers, message.id)
        before = NodeRun.objects.get(id=ref.id)
        fits = self.order(before)
        self.world.deliver(message, self.worker)
        if NodeRun.objects.get(id=ref.id).attempts > before.attempts:
            assert before.task_id == ref.task_id, "a void message was taken"
            assert ref.task_id not in self.claimed, "two claims of one attempt"
            self.claimed.add(ref.task_id)
            assert fits is None, fits

    def check_order(self, row):
        """A body may start: its parent has had an outcome that lets it run, and a gather node has waited."""
        wrong = self.order(row)
        assert wrong is None, wrong

    def order(self, row):
        """Return what would be wrong about this node's starting now."""
        if row.parent is not None:
            # Nothing but stops revokes nodes here: one that is revoked has had no outcome.
            if row.parent.state not in (NodeState.SUCCESS, NodeState.FAILURE):
                return f"a node runs before its parent, which is {row.parent.state}"
            if not row.is_gather and row.run_when not in fitting(NodeState(row.parent.state)):
                return "a node that must not run runs"
        siblings = NodeRun.objects.under(row.run_id, row.parent_id).filter(is_gather=False, settled=False)
        if row.is_gather and row.attempts == 0 and siblings.exists():
            return "a gather node has not waited"
        return None

    @invariant()
    def final_is_final(self):
        if not getattr(self, "results", None):
            return
        rows = NodeRun.objects.filter(run_id__in=[result.id for result in self.results], state__in=NODE_FINAL)
        now = dict(rows.values_list("id", "state"))
        for key, state in self.finals.items():
            assert now.get(key) == state, "a final state has changed"
        self.finals = now

    @invariant()
    def something_moves_an_open_run(self):
        """Nothing is left to the sweep but what a crash leaves behind."""
        for result in getattr(self, "results", None) or []:
            if TreeRun.objects.get(id=result.id).state in RUN_FINAL:
                continue
            rows = NodeRun.objects.filter(run_id=result.id)
            moving = rows.filter(state__in=ACTIVE) | rows.filter(state=NodeState.PENDING, ready=True)
            assert moving.exists(), ("nothing moves an open run", simulation.states(result.id))

    @invariant()
    def nothing_follows_a_skipped_node(self):
        """Neither at once nor by a verb, unless it ran before the node above was skipped."""
        if getattr(self, "results", None):
            rows = NodeRun.objects.filter(run_id__in=[result.id for result in self.results])
            below = rows.filter(parent__state=NodeState.SKIPPED, attempts=0)
            assert not below.filter(state__in=ACTIVE).exists(), "a node below a skipped one is active"
            assert not below.filter(ready=True).exists(), "a node below a skipped one is ready"

    def teardown(self):
        """Whatever has happened, every run ends once somebody resumes it and workers are there."""
        for result in getattr(self, "results", []):
            self.attempt(result.resume)
            for key in NodeRun.objects.filter(run_id=result.id).values_list("id", flat=True):
                self.attempt(NodeResult(key).resume)
        keys = [result.id for result in getattr(self, "results", [])]
        for name in list(self.world.hosts):
            self.world.kill_worker(name)
        self.world.receive_all()
        going = TreeRun.objects.filter(id__in=keys).exclude(state__in=RUN_FINAL)
        ended = self.world.recover(lambda: not going.exists(), rounds=40)
        assert ended, [(run.state, simulation.states(run.id)) for run in going]


@pytest.mark.long
def test_any_order(database, app):
    with simulation.simulated(app, "machine") as world:
        machine = type("Machine", (Machine,), {"world": world})
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=int(os.environ.get("TEST_EXAMPLES", "20")),
                stateful_step_count=30,
                suppress_health_check=list(HealthCheck),
                print_blob=True,
            ),
        )
