"""Random sequences of launches, actions, messages, crashes and sweeps on the real engine keep its invariants."""

import os
from collections import Counter
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Any
from unittest import mock

import hypothesis
import pytest
from celery import chain
from django.db import connections
from hypothesis import HealthCheck
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from django_tasktree import MapNode, NodeResult, TaskTree, TreeResult
from django_tasktree.builder.own_tasks import START_RUN
from django_tasktree.control import operations
from django_tasktree.control.waits import end_wait
from django_tasktree.definitions.launch import prepare
from django_tasktree.dispatch import capacities
from django_tasktree.dispatch.after_commit import finish_and_propagate
from django_tasktree.dispatch.message import HEADER, read_header
from django_tasktree.dispatch.sub_runs import wait_for_run_of
from django_tasktree.encoding import serialization, times
from django_tasktree.engine.control.change import Change
from django_tasktree.engine.history import open_entries
from django_tasktree.engine.lifecycle.claim import claim
from django_tasktree.engine.rules import FOLLOWING
from django_tasktree.engine.transitions import write_alias
from django_tasktree.engine.types import Outcome
from django_tasktree.exceptions import NotPossible, StaleAttempt
from django_tasktree.models import NodeRun, RunEvent, TreeRun
from django_tasktree.recovery.sweep import sweep
from django_tasktree.states import NODE_FINAL, RUN_FINAL, UNDER_WAY, Hold, NodeState, RunState
from django_tasktree.testing import registered
from tests import flushing, simulation
from tests.sample.map_tasks import halve
from tests.sample.sub_run_tasks import replaced
from tests.sample.tasks import echo, fail, flaky

WHEN = st.sampled_from(["success", "failure", "always"])
#: Task, number of the parent (0 is the tree), run_when, whether it is a gather node, options about its failure, and the
#: quorum of a gather node.
NODES = st.lists(
    st.tuples(
        st.sampled_from(["echo", "fail", "flaky", "map", "wait", "sleep", "run", "run", "replaced"]),
        st.integers(0, 8),
        WHEN,
        st.booleans(),
        st.sampled_from([{}, {}, {}, {"on_failure": "stop"}, {"allow_failure": True}]),
        st.sampled_from(["all", "all", "any", "50%"]),
    ),
    min_size=1,
    max_size=8,
)
ON_FAILURE = st.sampled_from(["continue", "stop", "terminate"])
MAX_ACTIVE = st.sampled_from([None, 1, 2])
#: Events between the batches of an action: a task ends, with success or not, or a message is delivered.
EVENTS = st.lists(st.booleans(), max_size=6)
NODE_ACTIONS = ("pause", "resume", "revoke", "retry", "rerun", "complete")

pytestmark = pytest.mark.exhaustive


def build(shapes, **options):
    tree = TaskTree("any", **options)
    built = [tree]
    for number, (task, below, when, gathers, rules, quorum) in enumerate(shapes):
        parent = built[below % len(built)]
        when = "success" if parent is tree and when == "failure" else when
        if isinstance(parent, MapNode) and (not gathers or task in ("wait", "sleep")):
            # What is below a map runs for each of its items.
            parent = parent.each
        if task in ("wait", "sleep"):
            built.append(build_wait(parent, task, f"n{number}", run_when=when, **rules))
            continue
        if task == "map" and not gathers:
            built.append(map_below(parent, when, rules))
            continue
        if task == "run" and not gathers:
            built.append(parent.add_run("part", {"number": number}, run_when=when, **rules))
            continue
        task = "echo" if task in ("map", "run") else task
        add = partial(parent.gather, when=quorum) if gathers else parent.add_task
        arguments = {
            "echo": (echo, [f"n{number}"]),
            "fail": (fail, [f"n{number}"]),
            "flaky": (flaky, [1, f"n{number}"]),
            "replaced": (replaced, [dict(chain(echo.s(f"r{number}"), echo.si("end")))]),
        }
        built.append(add(*arguments[task], run_when=when, **rules))
    return tree


def map_below(parent, when, rules):
    """Add a map, of a result if there is one above it; items 1 and 3 fail."""
    over = range(4) if isinstance(parent, TaskTree) else [0, 1, 2, 3, parent.output]
    tolerate = 1 if rules.get("allow_failure") else None
    return parent.map(
        halve, over=over, tolerate=tolerate, run_when=when, on_failure=rules.get("on_failure", "continue")
    )


def build_wait(parent, kind, label, **rules):
    """Add a wait node whose time passes with ``pass_time``; no worker gets a timer for so long a time."""
    hour = timedelta(hours=1)
    if kind == "sleep":
        return parent.sleep(hour, label=label, **rules)
    return parent.wait_for("event", label=label, timeout=hour, on_timeout="skip", **rules)


def part(number: int) -> TaskTree:
    """Return the tree of a sub-run."""
    tree = TaskTree("part", on_failure="stop" if number % 2 else "continue")
    node = tree.add_task(fail if number == 1 else echo, [f"p{number}"])
    if number % 3 == 0:
        build_wait(node, "wait", "event")
    elif number < 6:
        node.add_run("part", {"number": number + 4}, run_when="always")
    tree.gather(echo, ["gathered"], run_when="always")
    tree.returns(node.output)
    return tree


class Machine(RuleBasedStateMachine):
    """The test simulates messages, workers and running tasks; everything else is real."""

    world: Any = None

    @initialize(shapes=NODES, on_failure=ON_FAILURE, max_active=MAX_ACTIVE)
    def begin(self, shapes, on_failure, max_active):
        flushing.empty(connections[write_alias()])
        self.results, self.messages, self.running = [], [], []
        self.claimed = set()
        self.final_states = {}
        self.names = self.sent = 0
        self.is_damaged = self.lacks_messages = False
        self.world.receive_all()
        self.start_worker()
        self.launch(shapes, on_failure, max_active)

    def start_worker(self):
        self.names += 1
        self.worker = self.world.start_worker(f"w{self.names}")

    # Callers

    @precondition(lambda self: len(self.results) < 3)
    @rule(shapes=NODES, on_failure=ON_FAILURE, max_active=MAX_ACTIVE)
    def launch(self, shapes, on_failure, max_active):
        self.results.append(build(shapes, on_failure=on_failure, max_active=max_active).apply_async())

    @rule(which=st.integers(0, 8), action=st.sampled_from(["pause", "resume", "revoke", "retry"]))
    def act(self, which, action):
        self.attempt(lambda: getattr(self.any_run(which), action)())

    @rule(which=st.integers(0, 8), action=st.sampled_from(["revoke", "retry"]), step=st.integers(1, 40))
    def act_and_die(self, which, action, step):
        """The process dies before one of the action's statements or messages, or after the last."""
        self.die_in(getattr(self.any_run(which), action), step)

    @rule(
        which=st.integers(0, 8), node=st.integers(0, 12), action=st.sampled_from(NODE_ACTIONS), step=st.integers(1, 40)
    )
    def act_on_a_node_and_die(self, which, node, action, step):
        self.die_in(getattr(self.any_node(which, node), action), step)

    def die_in(self, action, step):
        with self.world.counting(crash_at=step), suppress(simulation.Crash, NotPossible):
            action()
        self.final_states = {}
        self.is_damaged = self.lacks_messages = True

    @rule(
        which=st.integers(0, 8), action=st.sampled_from(["revoke", "retry"]), events=st.lists(st.booleans(), max_size=6)
    )
    def act_slowly(self, which, action, events):
        """Workers continue between the batches of an action."""
        self.slowly(getattr(self.any_run(which), action), events)

    @rule(
        which=st.integers(0, 8),
        node=st.integers(0, 12),
        action=st.sampled_from(NODE_ACTIONS),
        events=EVENTS,
    )
    def act_on_a_node_slowly(self, which, node, action, events):
        self.slowly(getattr(self.any_node(which, node), action), events)

    def slowly(self, action, events):
        step, left = Change.step, list(events)

        def between(change, act):
            if left:
                is_good = left.pop()
                if self.running:
                    self.end_one(0, is_good)
                elif self.messages:
                    self.take(0, again=False)
            return step(change, act)

        with mock.patch.object(Change, "step", between):
            self.attempt(action)
        self.final_states = {}

    @rule(which=st.integers(0, 8))
    def pass_the_deadline(self, which):
        run_id = self.any_run(which).id
        runs = TreeRun.objects.filter(id=run_id)
        if runs.exclude(state__in=RUN_FINAL).update(deadline=times.now() - timedelta(days=1)):
            self.attempt(lambda: operations.enforce_deadline(run_id))

    @rule(which=st.integers(0, 8), node=st.integers(0, 12), action=st.sampled_from(NODE_ACTIONS))
    def act_on_a_node(self, which, node, action):
        handle = self.any_node(which, node)
        if self.attempt(getattr(handle, action)) and action in ("retry", "rerun"):
            # Failures before that do not stop it again.
            assert handle.state != NodeState.REVOKED

    @rule(which=st.integers(0, 8))
    def send_an_event(self, which):
        with suppress(NotPossible):
            self.any_run(which).send_event("event", self.next_payload())

    @rule(which=st.integers(0, 8), step=st.integers(1, 20))
    def send_an_event_and_die(self, which, step):
        self.die_in(lambda: self.any_run(which).send_event("event", self.next_payload()), step)

    def next_payload(self):
        self.sent += 1
        return self.sent

    @rule(which=st.integers(0, 20))
    def let_a_wait_time_out(self, which):
        """A timer message comes when the time of a wait has passed."""
        waits = NodeRun.objects.filter(state=NodeState.WAITING, eta__isnull=False, wait__isnull=False)
        keys = list(waits.order_by("id").values_list("id", "task_id"))
        if keys:
            node_id, task_id = keys[which % len(keys)]
            waits.filter(id=node_id).update(eta=times.now() - timedelta(hours=1))
            end_wait(node_id, task_id)

    @rule(which=st.integers(0, 8), node=st.integers(-1, 12), when=WHEN, gathers=st.booleans())
    def grow(self, which, node, when, gathers):
        """Add a node below any other, or as a root node."""
        handle = self.any_run(which) if node < 0 else self.any_node(which, node)
        when = "success" if node < 0 and when == "failure" else when
        self.attempt(lambda: (handle.gather if gathers else handle.add_task)(echo, ["added"], run_when=when))

    def any_run(self, which):
        """Return one of the runs that were launched, or of their sub-runs."""
        keys = list(TreeRun.objects.order_by("id").values_list("id", flat=True))
        return TreeResult(keys[which % len(keys)])

    def any_node(self, which, node):
        nodes = NodeRun.objects.filter(run_id=self.any_run(which).id).order_by("id")
        keys = list(nodes.values_list("id", flat=True))
        return NodeResult(keys[node % len(keys)])

    def attempt(self, action):
        try:
            action()
        except NotPossible:
            return False
        # Nodes that run again may end in another state.
        self.final_states = {}
        return True

    # The broker

    def receive(self):
        self.messages += self.world.receive_all()

    @precondition(lambda self: self.messages)
    @rule(which=st.integers(0, 20))
    def lose(self, which):
        self.messages.pop(which % len(self.messages))
        self.lacks_messages = True

    # Workers

    @precondition(lambda self: self.messages)
    @rule(which=st.integers(0, 20), again=st.booleans())
    def deliver(self, which, again):
        """A worker executes an attempt; the message may be delivered again later."""
        self.take(which, again)

    @precondition(lambda self: self.messages)
    @rule(number=st.integers(2, 6))
    def work(self, number):
        """A worker executes the next attempts."""
        for _ in range(number):
            if self.messages:
                self.take(0, again=False)
                self.receive()

    @precondition(lambda self: self.messages)
    @rule(which=st.integers(0, 20), step=st.integers(1, 12), again=st.booleans())
    def deliver_and_die(self, which, step, again):
        """The worker dies before one of the attempt's statements or messages, or after the last."""
        message = self.messages[which % len(self.messages)]
        if not again:
            self.messages.remove(message)
        with self.world.counting(crash_at=step), suppress(simulation.Crash):
            self.world.deliver(message, self.worker)
        self.die_and_sweep()

    @precondition(lambda self: self.messages)
    @rule(which=st.integers(0, 20))
    def start_a_task(self, which):
        """A task starts, and ends in a later step."""
        message = self.messages[which % len(self.messages)]
        ref = read_header(message.headers, message.id)
        assert ref is not None
        before = NodeRun.objects.filter(id=ref.id).first()
        if claim(ref, self.worker, self.world.hosts[self.worker].id):
            assert NodeRun.objects.get(id=ref.id).task_id == ref.task_id, "an outdated message was claimed"
            assert ref.task_id not in self.claimed, "two claims of one attempt"
            self.claimed.add(ref.task_id)
            assert before is not None, "a node that was deleted was claimed"
            self.check_order(before)
            self.running.append(ref)

    @precondition(lambda self: self.running)
    @rule(which=st.integers(0, 20), good=st.booleans())
    def end_a_task(self, which, good):
        """A task ends, possibly on a worker that counts as lost: then its outcome is refused."""
        self.end_one(which, good)

    def end_one(self, which, good):
        ref = self.running.pop(which % len(self.running))
        row = NodeRun.objects.filter(id=ref.id).first()
        outcome = Outcome(NodeState.SUCCESS, result="1") if good else Outcome(NodeState.FAILURE)
        try:
            if good and row is not None and row.task == START_RUN:
                wait_for_run_of(ref, prepare(*serialization.loads(row.args)))
            else:
                finish_and_propagate(ref, outcome)
        except StaleAttempt:
            row = NodeRun.objects.filter(id=ref.id).first()
            assert row is None or row.task_id != ref.task_id or row.state in NODE_FINAL, (
                "the outcome of the current attempt was refused"
            )

    @rule()
    def die(self):
        self.lacks_messages = True
        self.world.kill_worker(self.worker)
        self.start_worker()

    def die_and_sweep(self):
        self.die()
        self.time_passes()

    @rule()
    def time_passes(self):
        self.world.pass_time()
        if open_entries().exists():
            # The sweep continues actions that were interrupted.
            self.final_states = {}
        sweep(self.world.app)
        self.is_damaged = False

    def take(self, which, again):
        message = self.messages[which % len(self.messages)]
        if not again:
            self.messages.remove(message)
        ref = read_header(message.headers, message.id)
        assert ref is not None
        before = {row.id: row for row in NodeRun.objects.filter(run_id=ref.run_id)}
        # A rerun of a map has deleted its children, but not their messages.
        violation = self.violated_order(before[ref.id]) if ref.id in before else "a node that was deleted runs"
        self.world.deliver(message, self.worker)
        for row in NodeRun.objects.filter(run_id=ref.run_id):
            attempts, task_id = (before[row.id].attempts, before[row.id].task_id) if row.id in before else (0, None)
            if row.is_wait or row.attempts == attempts:
                continue
            if row.carried_by is None:
                assert (row.id, task_id) == (ref.id, ref.task_id), "an outdated message was claimed"
                assert violation is None, violation
                self.claim_once(ref.task_id)
            else:
                self.check_taken(row, ref)

    def claim_once(self, task_id):
        assert task_id not in self.claimed, "two claims of one attempt"
        self.claimed.add(task_id)

    def check_taken(self, row, ref):
        """Check a node that a message's process has taken, after its end."""
        assert row.carried_by == ref.task_id, "a node was taken by another message than the one that was delivered"
        self.check_order(row)
        # A retry has another task ID; its first attempt had the one that the node got when it was queued.
        if row.state in (NodeState.SUCCESS, NodeState.FAILURE, NodeState.SKIPPED):
            self.claim_once(row.task_id)

    def check_order(self, row):
        """Check that a node may start: the outcome of its parent allows it, and a gather node has waited."""
        violation = self.violated_order(row)
        assert violation is None, violation

    def violated_order(self, row):
        """Return the rule that a start of this node would violate, or None."""
        if row.parent is not None:
            # A revoked node has no outcome, because only stops and actions revoke nodes here.
            if row.parent.state not in (NodeState.SUCCESS, NodeState.FAILURE):
                return f"a node runs before its parent, which is {row.parent.state}"
            if not row.is_gather and row.run_when not in FOLLOWING[NodeState(row.parent.state)]:
                return "a node that must not run runs"
        siblings = NodeRun.objects.under(row.run_id, row.parent_id).filter(is_gather=False, settled=False)
        if row.is_gather and not row.quorum and row.attempts == 0 and siblings.exists():
            return "a gather node has not waited"
        return None

    @invariant()
    def the_rules_hold(self):
        """Read all messages and rows once, and check the rules."""
        self.receive()
        self.runs = {run.id: run for run in TreeRun.objects.all()}
        self.nodes: dict[Any, NodeRun] = {row.id: row for row in NodeRun.objects.all()}
        for row in self.nodes.values():
            row.parent = self.nodes.get(row.parent_id)
        self.final_states_do_not_change()
        self.nodes_below_a_skipped_node_do_not_start()
        if not self.is_damaged:
            self.an_open_run_can_continue()
            self.nodes_wait_only_if_they_may()
            self.nodes_and_sub_runs_wait_for_each_other()
            self.events_are_taken()
        if not self.is_damaged and not self.lacks_messages:
            self.a_message_comes_for_queued_nodes()

    def in_state(self, *states):
        return [row for row in self.nodes.values() if row.state in states]

    def final_states_do_not_change(self):
        now = {row.id: row.state for row in self.in_state(*NODE_FINAL)}
        for key, state in self.final_states.items():
            assert now.get(key) == state, "a final state has changed"
        self.final_states = now

    def an_open_run_can_continue(self):
        """Without crashes, a run never depends on the sweep."""
        moving = {row.run_id for row in self.nodes.values() if row.state in UNDER_WAY or row.runnable}
        for run in self.runs.values():
            if run.state not in (*RUN_FINAL, RunState.CHANGING):
                assert run.id in moving, ("nothing continues an open run", simulation.states(run.id))

    def a_message_comes_for_queued_nodes(self):
        """Without lost messages and processes, nodes that share messages never depend on the sweep."""
        on_their_way = {
            (message.headers[HEADER]["run"], message.headers[HEADER].get("lane"))
            for message in self.messages
            if HEADER in message.headers
        }
        for row in self.in_state(NodeState.QUEUED):
            if row.lane and row.hold == "" and row.limit_scope_id is None:
                is_free = self.runs[row.run_id].state == RunState.STARTED
                assert not is_free or (row.run_id.hex, row.lane) in on_their_way, (
                    "no message comes",
                    simulation.states(row.run_id),
                )

    def nodes_below_a_skipped_node_do_not_start(self):
        """Neither by themselves nor by an action, unless they ran before the parent was skipped."""
        for row in self.nodes.values():
            if row.parent is not None and row.parent.state == NodeState.SKIPPED and row.attempts == 0:
                assert row.state not in UNDER_WAY, "a node below a skipped one is active"
                assert not row.runnable, "a node below a skipped one is runnable"

    def nodes_wait_only_if_they_may(self):
        """A wait node follows the same rules as a task, but no message is claimed that could check them."""
        for row in self.in_state(NodeState.WAITING):
            if row.is_wait:
                self.check_order(row)

    def nodes_and_sub_runs_wait_for_each_other(self):
        """A node waits as long as its sub-run is open. One that was reopened, after its node has ended, continues."""
        for row in self.in_state(NodeState.WAITING):
            if not row.is_wait:
                run = self.runs[row.sub_run_id]
                assert run.state not in RUN_FINAL, f"a node waits for a run that is {run.state}"
                assert (run.parent_run_id, run.parent_node_id) == (row.run_id, row.id)
        for run in self.runs.values():
            if run.parent_run_id is not None and run.state not in RUN_FINAL:
                assert run.depth == self.runs[run.parent_run_id].depth + 1
                if run.detached:
                    # Its node had ended, and may have started another run since.
                    continue
                row = self.nodes[run.parent_node_id]
                assert row.sub_run_id == run.id, "two open runs of one node"
                assert row.state == NodeState.WAITING or run.idle, f"no node waits for a run: it is {row.state}"

    def events_are_taken(self):
        """Nobody waits for an event that was sent; each node has taken one for each time it has waited, at most."""
        waiting = {row.run_id for row in self.in_state(NodeState.WAITING) if row.is_wait and row.lane}
        taken = Counter()
        for event in RunEvent.objects.all():
            if event.taken_at is None:
                assert event.run_id not in waiting, "a node waits for an event that was sent"
            else:
                taken[event.taken_by] += 1
                assert self.nodes[event.taken_by].run_id == event.run_id
        for key, number in taken.items():
            assert self.nodes[key].attempts >= number, "a node has taken two events"

    def teardown(self):
        """After any sequence, every run ends once it is resumed and a worker is available."""
        self.time_passes()
        assert not open_entries().exists(), "an interrupted action was not continued"
        for key in TreeRun.objects.filter(state=RunState.PAUSED).values_list("id", flat=True):
            self.attempt(TreeResult(key).resume)
        for key in NodeRun.objects.filter(hold=Hold.PAUSED).values_list("id", flat=True):
            self.attempt(NodeResult(key).resume)
        for name in list(self.world.hosts):
            self.world.kill_worker(name)
        self.world.receive_all()
        unfinished = TreeRun.objects.exclude(state__in=RUN_FINAL)
        ended = self.world.recover(lambda: not unfinished.exists(), rounds=40)
        assert ended, [(run.state, simulation.states(run.id)) for run in unfinished]


@pytest.mark.long
@pytest.mark.parametrize("batch", [2, 500], ids=["small batches", "large batches"])
def test_random_sequences(database, app, batch, settings, monkeypatch):
    # The duration of a step must not decide what the next one does.
    settings.TASKTREE = {"BATCH_SIZE": batch, "SHARE_MESSAGE_FOR": 3600}
    monkeypatch.setattr(capacities, "_REMEMBER", 0)
    with simulation.simulated(app, "machine") as world, registered(part):
        machine = type("Machine", (Machine,), {"world": world})
        run_state_machine_as_test(
            machine,
            settings=hypothesis.settings(
                max_examples=int(os.environ.get("TEST_EXAMPLES", "16")),
                stateful_step_count=30,
                suppress_health_check=list(HealthCheck),
                print_blob=True,
            ),
        )
