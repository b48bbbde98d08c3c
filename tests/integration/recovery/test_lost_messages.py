"""When a message counts as lost, and how its node is repaired."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.test import override_settings
from django.utils import timezone

from django_tasktree import TaskTree
from django_tasktree.engine.backends import database_now
from django_tasktree.engine.heartbeats import beat, workers
from django_tasktree.engine.recovery.scan import Scan
from django_tasktree.engine.transitions import nodes
from django_tasktree.models import NodeRun, TreeRun
from django_tasktree.recovery import departures, queues
from django_tasktree.recovery.sweep import sweep
from tests import simulation
from tests.integration.recovery.scenes import age, launched, resend_count, started
from tests.sample.tasks import echo, flaky

pytestmark = pytest.mark.usefixtures("own_messages")

HOUR = 3600


@pytest.fixture
def world(database, app):
    """Yield a simulation with one worker."""
    with simulation.simulated(app, "lost-messages") as world:
        world.start_worker("w")
        yield world


def labels(messages):
    """Return the labels of the nodes of messages."""
    return sorted(simulation.label(NodeRun.objects.get(task_id=message.id)) for message in messages)


def test_a_message_is_sent_again_if_its_queue_is_empty(world):
    one, other = launched("one", "other")
    world.receive_all()
    age(one, 31)
    report = sweep(world.app)
    assert (report.resent, report.errors) == (1, 0)
    assert labels(world.receive_all()) == ["one"]
    assert (resend_count(one), resend_count(other)) == (1, 0)


def test_a_message_that_a_live_worker_holds_is_not_sent_again(world):
    one, other = launched("one", "other")
    world.receive_all()
    for node in (one, other):
        age(node, 31)
    spec = world.hosts["w"]
    beat(lambda: replace(spec, holds=[str(one.node.task_id)]))
    assert sweep(world.app).resent == 1
    assert labels(world.receive_all()) == ["other"]
    world.kill_worker("w")
    age(one, 31)
    assert sweep(world.app).resent == 1
    assert labels(world.receive_all()) == ["one"]


def record_heartbeat(world, *held, worker="w"):
    """Record a heartbeat of a worker with the messages that it holds."""
    beat(lambda: replace(world.hosts[worker], holds=[str(handle.node.task_id) for handle in held]))
    world.witness(database_now())


class Passes:
    """Limited passes of the sweep, which keep their cursors."""

    def __init__(self, world):
        self.world, self.cursors = world, {}

    def make_one(self):
        scan = Scan(self.cursors, max_pages=20)
        report = sweep(self.world.app, scan)
        self.cursors = json.loads(json.dumps(scan.cursors))
        return report.resent


def test_a_message_that_was_fetched_since_the_last_heartbeat_is_not_sent_again(world):
    """The queue is empty, and no heartbeat lists the message yet: the worker records it with its next one."""
    one, other = launched("one", "other")
    for node in (one, other):
        age(node, 31)
    passes = Passes(world)
    record_heartbeat(world)
    world.receive_all()
    assert passes.make_one() == 0
    assert passes.make_one() == 0
    record_heartbeat(world, one)
    assert passes.make_one() == 1
    assert labels(world.receive_all()) == ["other"]


def test_a_message_is_lost_only_after_a_heartbeat_of_every_live_worker(world):
    world.start_worker("slow")
    (node,) = launched("one")
    age(node, 31)
    world.receive_all()
    passes = Passes(world)
    assert passes.make_one() == 0
    record_heartbeat(world)
    assert passes.make_one() == 0
    record_heartbeat(world, worker="slow")
    assert passes.make_one() == 1


def test_without_live_workers_no_heartbeat_is_awaited(world):
    (node,) = launched("one")
    age(node, 31)
    world.receive_all()
    world.kill_worker("w")
    workers().all().delete()
    assert Passes(world).make_one() == 1


def test_a_message_that_was_sent_later_needs_its_own_observation(world):
    (first,) = launched("first")
    age(first, 31)
    world.receive_all()
    passes = Passes(world)
    passes.make_one()
    record_heartbeat(world)
    assert passes.make_one() == 1
    world.deliver_all("w")
    (later,) = launched("later")
    world.receive_all()
    nodes().filter(id=later.id).update(queued_at=database_now())
    record_heartbeat(world)
    with override_settings(TASKTREE={"RESEND_AFTER": 0}):
        assert passes.make_one() == 0
        record_heartbeat(world, later)
        assert passes.make_one() == 0
        record_heartbeat(world)
        assert passes.make_one() == 1


def test_an_observation_is_not_delayed_by_newer_ones(world):
    """An observation counts after the next heartbeats, although newer ones are made in the meantime."""
    (node,) = launched("one")
    age(node, 31)
    world.receive_all()
    passes = Passes(world)
    for _ in range(5):
        assert passes.make_one() == 0
    record_heartbeat(world)
    assert passes.make_one() == 1


def test_a_message_that_was_overtaken_since_the_last_heartbeat_is_not_sent_again(world):
    first, later, _last = launched("first", "later", "last")
    age(first, HOUR - 10)
    started(world, later)
    passes = Passes(world)
    assert passes.make_one() == 0
    record_heartbeat(world, first)
    assert passes.make_one() == 0
    record_heartbeat(world)
    assert passes.make_one() == 1
    assert resend_count(first) == 1


def test_too_many_queues_only_delay_lost_messages(world, monkeypatch):
    monkeypatch.setattr(departures, "MAX_KEPT", 1)
    monkeypatch.setattr(queues.Queues, "ask", lambda self, queue: 0)
    lost = [launched("lost", queue=f"queue-{number}")[0] for number in range(3)]
    for node in lost:
        age(node, 31)
    passes = Passes(world)
    for _ in range(4):
        passes.make_one()
        record_heartbeat(world)
    assert sum(map(resend_count, lost)) == 1
    for node in lost:
        age(node, HOUR)
    passes.make_one()
    assert all(map(resend_count, lost))


def test_a_message_that_a_worker_holds_for_too_long_is_sent_again(world, settings):
    """The pool of the worker may have stopped; a second message does no harm."""
    settings.TASKTREE = {"RESEND_BLINDLY_AFTER": HOUR}
    (node,) = launched("one")
    world.receive_all()
    for wait, resent_now in ((HOUR - 1, 0), (2, 1), (HOUR - 1, 0), (2, 1)):
        age(node, wait)
        beat(lambda: replace(world.hosts["w"], holds=[str(node.node.task_id)]))
        assert sweep(world.app).resent == resent_now
        world.receive_all()


def test_a_message_that_waits_in_its_queue_is_not_sent_again(world):
    (node,) = launched("a")
    age(node, 10 * HOUR)
    assert not sweep(world.app)
    assert len(world.receive_all()) == 1


def test_the_wait_doubles_after_each_resend(world):
    (node,) = launched("a")
    world.receive_all()
    for times, too_soon in enumerate((29, 59, 119, 239)):
        age(node, too_soon)
        assert not sweep(world.app), times
        age(node, 2)
        assert sweep(world.app).resent == 1
        assert resend_count(node) == times + 1
        assert len(world.receive_all()) == 1


def test_the_wait_has_a_maximum(world):
    (node,) = launched("a")
    world.receive_all()
    nodes().filter(id=node.id).update(resend_count=40)
    age(node, 30 * 2**7 + 1)
    assert sweep(world.app).resent == 1


def test_a_new_attempt_resets_the_wait(world):
    tree = TaskTree()
    tree.add_task(flaky, [1])
    (node,) = tree.apply_async().children
    world.receive_all()
    age(node, 31)
    assert sweep(world.app).resent == 1
    world.deliver(world.receive_all()[0], "w")
    assert (node.state, resend_count(node)) == ("RETRY", 0)


def test_a_message_that_was_overtaken_is_lost(world):
    """Its queue is not empty, but a message that was sent to it later has been delivered."""
    first, later, last = launched("first", "later", "last")
    age(first, HOUR)
    started(world, later)
    assert sweep(world.app).resent == 1
    assert (resend_count(first), resend_count(last)) == (1, 0)


def test_a_message_with_another_priority_overtakes_nothing(world):
    (first,) = launched("first")
    (later,) = launched("later", priority=9)
    age(first, HOUR)
    started(world, later)
    assert not sweep(world.app)


def test_a_message_of_another_queue_overtakes_nothing(world):
    (first,) = launched("first")
    (later,) = launched("later", queue="other")
    age(first, HOUR)
    started(world, later)
    assert not sweep(world.app)


def test_a_message_that_was_sent_at_nearly_the_same_time_was_not_overtaken(world):
    first, later = launched("first", "later")
    age(first, HOUR)
    age(later, HOUR - 29)
    started(world, later)
    assert not sweep(world.app)


def test_a_message_to_an_unknown_queue_counts_as_lost_after_an_hour(world):
    """It was sent to an exchange of the user, whose queues are unknown."""
    (node,) = launched("a", exchange="elsewhere", routing_key="x")
    world.receive_all()
    age(node, HOUR - 10)
    assert not sweep(world.app)
    age(node, 20)
    assert sweep(world.app).resent == 1


def test_a_message_of_a_transport_without_counts_is_lost_after_a_time(world, monkeypatch, settings):
    (node,) = launched("a")
    world.receive_all()
    monkeypatch.setattr(queues.Queues, "ask", lambda self, queue: None)
    settings.TASKTREE = {"RESEND_BLINDLY_AFTER": 100}
    age(node, 90)
    assert not sweep(world.app)
    age(node, 20)
    assert sweep(world.app).resent == 1


def test_the_depth_of_each_queue_is_read_once(world, monkeypatch):
    for node in launched(*"abcdef"):
        age(node, 60)
    read = []
    monkeypatch.setattr(queues.Queues, "ask", lambda self, queue: read.append(queue) or 1)  # type: ignore[func-returns-value]
    sweep(world.app)
    assert read == ["lost-messages"]


@pytest.mark.parametrize("how", ["countdown", "eta"])
def test_a_message_that_is_not_due_is_not_lost(world, how):
    """Workers fetch such messages at once, so an empty queue means nothing before they are due."""
    options: dict[str, Any] = (
        {"countdown": 600} if how == "countdown" else {"eta": timezone.now() + timedelta(seconds=600)}
    )
    (node,) = launched("a", **options)
    world.receive_all()
    age(node, 60)
    assert not sweep(world.app)
    (eta,) = nodes().filter(id=node.id).values_list("eta", flat=True)
    expected = options.get("eta") or node.node.queued_at + timedelta(seconds=600)
    assert abs(eta - expected) < timedelta(milliseconds=1)
    nodes().filter(id=node.id).update(eta=timezone.now() - timedelta(seconds=20))
    assert not sweep(world.app)
    nodes().filter(id=node.id).update(eta=timezone.now() - timedelta(seconds=31))
    assert sweep(world.app).resent == 1


@pytest.mark.parametrize("change", [{"state": "PAUSED"}, {"state": "REVOKED"}], ids=["paused", "ended"])
def test_a_node_that_may_not_start_is_put_back(world, change):
    (node,) = launched("a")
    world.receive_all()
    age(node, 31)
    TreeRun.objects.filter(id=node.node.run_id).update(**change)
    report = sweep(world.app)
    assert (report.deferred, report.resent) == (1, 0)
    assert node.state == ("PENDING" if change["state"] == "PAUSED" else "REVOKED")
    assert world.receive_all() == []


def test_no_message_is_sent_in_eager_mode(world, eager):
    NodeRun.objects.all().delete()
    tree = TaskTree()
    tree.add_task(echo, ["a"])
    (node,) = tree.apply_async().children
    nodes().filter(id=node.id).update(state="QUEUED", settled=False)
    age(node, HOUR)
    assert sweep(world.app).resent == 0
