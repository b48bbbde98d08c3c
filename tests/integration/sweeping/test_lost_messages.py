"""When does a message count as lost, and what becomes of its node?"""

from dataclasses import replace
from datetime import timedelta

import pytest
from django.utils import timezone

from django_tasktree import TaskTree
from django_tasktree.engine.moves import nodes
from django_tasktree.engine.workers import beat
from django_tasktree.models import NodeRun, TreeRun
from django_tasktree.sweeping import queues, sweep
from tests import simulation
from tests.integration.sweeping.scenes import age, launched, resent, started
from tests.sample.tasks import echo, flaky

HOUR = 3600


@pytest.fixture
def world(database, app):
    with simulation.simulated(app, "lost-messages") as world:
        world.start_worker("w")
        yield world


def labels(messages):
    return sorted(simulation.label(NodeRun.objects.get(task_id=message.id)) for message in messages)


def test_a_message_is_sent_again_where_its_queue_is_empty(world):
    one, other = launched("one", "other")
    world.receive_all()
    age(one, 31)
    swept = sweep(world.app)
    assert (swept.resent, swept.errors) == (1, 0)
    assert labels(world.receive_all()) == ["one"]
    assert (resent(one), resent(other)) == (1, 0)


def test_a_message_that_a_living_worker_holds_is_not_sent_again(world):
    one, other = launched("one", "other")
    world.receive_all()
    for node in (one, other):
        age(node, 31)
    spec = world.hosts["w"]
    beat(replace(spec, holds=[str(one.node.task_id)]))
    assert sweep(world.app).resent == 1
    assert labels(world.receive_all()) == ["other"]
    world.kill_worker("w")
    age(one, 31)
    assert sweep(world.app).resent == 1
    assert labels(world.receive_all()) == ["one"]


def test_what_a_worker_holds_for_too_long_is_sent_again(world, settings):
    """Its pool may have stopped for good; a second message does no harm."""
    settings.TASKTREE = {"RESEND_BLINDLY_AFTER": HOUR}
    (node,) = launched("one")
    world.receive_all()
    for wait, resent_now in ((HOUR - 1, 0), (2, 1), (HOUR - 1, 0), (2, 1)):
        age(node, wait)
        beat(replace(world.hosts["w"], holds=[str(node.node.task_id)]))
        assert sweep(world.app).resent == resent_now
        world.receive_all()


def test_a_message_that_waits_in_its_queue_is_not_sent_again(world):
    (node,) = launched("a")
    age(node, 10 * HOUR)
    assert not sweep(world.app)
    assert len(world.receive_all()) == 1


def test_each_further_time_comes_after_twice_as_long(world):
    (node,) = launched("a")
    world.receive_all()
    for times, too_soon in enumerate((29, 59, 119, 239)):
        age(node, too_soon)
        assert not sweep(world.app), times
        age(node, 2)
        assert sweep(world.app).resent == 1
        assert resent(node) == times + 1
        assert len(world.receive_all()) == 1


def test_the_wait_grows_no_more_after_some_times(world):
    (node,) = launched("a")
    world.receive_all()
    nodes().filter(id=node.id).update(resent=40)
    age(node, 30 * 2**7 + 1)
    assert sweep(world.app).resent == 1


def test_a_new_attempt_waits_no_longer_than_the_first(world):
    tree = TaskTree()
    tree.add_task(flaky, [1])
    (node,) = tree.apply_async().children
    world.receive_all()
    age(node, 31)
    assert sweep(world.app).resent == 1
    world.deliver(world.receive_all()[0], "w")
    assert (node.state, resent(node)) == ("RETRY", 0)


def test_a_message_that_was_overtaken_is_lost(world):
    """Its queue is busy, but one that was sent later to the same queue has been delivered."""
    first, later, last = launched("first", "later", "last")
    age(first, HOUR)
    started(world, later)
    assert sweep(world.app).resent == 1
    assert (resent(first), resent(last)) == (1, 0)


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


def test_where_nobody_can_tell_an_hour_passes(world):
    """An exchange of the user's own: the queues behind it are not known here."""
    (node,) = launched("a", exchange="elsewhere", routing_key="x")
    world.receive_all()
    age(node, HOUR - 10)
    assert not sweep(world.app)
    age(node, 20)
    assert sweep(world.app).resent == 1


def test_a_transport_that_can_not_tell_how_many_wait(world, monkeypatch, settings):
    (node,) = launched("a")
    world.receive_all()
    monkeypatch.setattr(queues.Queues, "_ask", lambda self, queue: None)
    settings.TASKTREE = {"RESEND_BLINDLY_AFTER": 100}
    age(node, 90)
    assert not sweep(world.app)
    age(node, 20)
    assert sweep(world.app).resent == 1


def test_each_queue_is_asked_once(world, monkeypatch):
    for node in launched(*"abcdef"):
        age(node, 60)
    asked = []
    monkeypatch.setattr(queues.Queues, "_ask", lambda self, queue: asked.append(queue) or 1)
    sweep(world.app)
    assert asked == ["lost-messages"]


@pytest.mark.parametrize("how", ["countdown", "eta"])
def test_a_message_that_is_not_due_is_not_lost(world, how):
    """Workers take such messages off the queue at once, so an empty queue tells nothing before they are due."""
    when = {"countdown": 600} if how == "countdown" else {"eta": timezone.now() + timedelta(seconds=600)}
    (node,) = launched("a", **when)
    world.receive_all()
    age(node, 60)
    assert not sweep(world.app)
    (eta,) = nodes().filter(id=node.id).values_list("eta", flat=True)
    expected = node.node.queued_at + timedelta(seconds=600) if how == "countdown" else when["eta"]
    assert abs(eta - expected) < timedelta(milliseconds=1)
    nodes().filter(id=node.id).update(eta=timezone.now() - timedelta(seconds=20))
    assert not sweep(world.app)
    nodes().filter(id=node.id).update(eta=timezone.now() - timedelta(seconds=31))
    assert sweep(world.app).resent == 1


@pytest.mark.parametrize("change", [{"state": "PAUSED"}, {"state": "REVOKED"}], ids=["paused", "ended"])
def test_a_node_that_may_not_start_is_put_back_instead(world, change):
    (node,) = launched("a")
    world.receive_all()
    age(node, 31)
    TreeRun.objects.filter(id=node.node.run_id).update(**change)
    swept = sweep(world.app)
    assert (swept.parked, swept.resent) == (1, 0)
    assert node.state == ("PENDING" if change["state"] == "PAUSED" else "REVOKED")
    assert world.receive_all() == []


def test_nothing_is_sent_where_nodes_run_eagerly(world, eager):
    NodeRun.objects.all().delete()
    tree = TaskTree()
    tree.add_task(echo, ["a"])
    (node,) = tree.apply_async().children
    nodes().filter(id=node.id).update(state="QUEUED", settled=False)
    age(node, HOUR)
    assert sweep(world.app).resent == 0
