"""Nodes that a worker process runs after the node of a message, without a message of their own."""

import logging
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from celery import signals

from django_tasktree import TaskTree
from django_tasktree import signals as tree_signals
from django_tasktree.dispatch import capacities
from django_tasktree.dispatch.termination import running
from django_tasktree.encoding import times
from django_tasktree.engine.heartbeats import beat, workers
from django_tasktree.models import NodeRun
from django_tasktree.recovery.sweep import sweep
from django_tasktree.states import NODE_FINAL
from django_tasktree.worker import lost_attempts, taking
from tests import celery_settings, simulation
from tests.integration.recovery.scenes import age
from tests.sample.sharing_tasks import describe_request, wait_for_siblings
from tests.sample.tasks import CustomError, echo, fail, flaky, grow

QUEUE = "taking"


@pytest.fixture
def world(database, app, sharing, monkeypatch):
    """Yield a simulation with a worker that has one process."""
    # Take many nodes together from the beginning.
    monkeypatch.setattr(taking, "_durations", {task.name: 0.0 for task in (echo, wait_for_siblings, describe_request)})
    with simulation.one_process(app, QUEUE) as world:
        yield world


@pytest.fixture
def no_end(settings):
    """Let the time of a message never end."""
    settings.TASKTREE = {"SHARE_MESSAGE_FOR": 3600}


@pytest.fixture
def no_time(settings):
    """Let the time of a message end with its own node."""
    settings.TASKTREE = {"SHARE_MESSAGE_FOR": 1e-9}


def fan(size, task=echo, **options):
    tree = TaskTree()
    for number in range(size):
        tree.add_task(task, [number], **options)
    return tree.apply_async()


def outcomes(result):
    return [node.state for node in result.children]


# Messages


def test_one_message_runs_a_fan(world, no_end):
    result = fan(40)
    first, *spare = world.receive_all()
    assert len(spare) == 4  # What a worker with one process fetches in advance.
    world.deliver(first, "w")
    assert result.state == "SUCCESS"
    assert world.receive_all() == []
    carried = NodeRun.objects.filter(run_id=result.id).values_list("carried_by", flat=True)
    assert set(carried) == {None, UUID(first.id)}
    assert result.join() == list(range(40))


def test_a_chain_needs_one_message(world, no_end):
    tree = TaskTree()
    for number in range(10):
        tree.push(echo, [number])
    result = tree.apply_async()
    (message,) = world.receive_all()
    world.deliver(message, "w")
    assert (result.state, world.receive_all()) == ("SUCCESS", [])


def test_all_kinds_of_nodes_share_a_message(world, no_end):
    tree = TaskTree()
    top = tree.add_task(echo, ["top"])
    top.add_task(fail, ["bad"], allow_failure=True).add_task(echo, ["handler"], run_when="failure")
    top.add_task(grow, [2, 1])
    top.add_task(flaky, [1])
    top.gather(echo, [top.outputs], run_when="always")
    result = tree.apply_async()
    assert world.deliver_all("w") == 2  # A retry has a message of its own.
    assert result.state == "SUCCESS"


def test_if_no_worker_is_known_each_node_has_a_message(world):
    workers().all().delete()
    capacities.forget_workers()
    fan(40)
    assert len(world.receive_all()) == 40


def test_if_workers_fetch_without_a_limit_each_node_has_a_message(world, app):
    with celery_settings.changed(app, worker_prefetch_multiplier=0):
        fan(40)
    assert len(world.receive_all()) == 40


def test_when_the_time_is_over_the_next_message_is_sent(world, no_time):
    result = fan(40)
    first, *_ = world.receive_all()
    world.deliver(first, "w")
    assert outcomes(result).count("SUCCESS") == 1
    (message,) = world.receive_all()
    world.deliver(message, "w")
    assert outcomes(result).count("SUCCESS") == 2


def test_a_message_whose_node_was_taken_wakes_its_process_up(world, no_time, settings):
    result = fan(8)
    first, second, *_ = world.receive_all()
    world.deliver(first, "w")
    world.deliver(second, "w")
    settings.TASKTREE = {"SHARE_MESSAGE_FOR": 3600}
    world.deliver(second, "w")
    assert result.state == "SUCCESS"


def test_nodes_of_another_lane_have_their_own_messages(world, no_end, app):
    app.amqp.queues.add("elsewhere")
    tree = TaskTree()
    for number in range(6):
        tree.add_task(echo, [number], queue="elsewhere" if number % 2 else None)
    result = tree.apply_async()
    world.deliver(world.receive_all()[0], "w")
    assert outcomes(result) == ["SUCCESS", "QUEUED"] * 3


def test_with_the_setting_at_0_each_node_has_a_message(world, settings):
    settings.TASKTREE = {"SHARE_MESSAGE_FOR": 0}
    fan(10)
    assert len(world.receive_all()) == 10


def test_a_message_takes_nothing_after_the_setting_was_set_to_0(world, settings):
    result = fan(10)
    settings.TASKTREE = {"SHARE_MESSAGE_FOR": 0}
    world.deliver(world.receive_all()[0], "w")
    assert outcomes(result).count("SUCCESS") == 1


# What a task function, hooks and receivers see


@pytest.mark.parametrize("options", [{}, {"time_limit": 1e6, "soft_time_limit": 1e5}], ids=["", "time limits"])
def test_the_request_is_that_of_a_message(world, settings, options):
    seen = []
    for seconds in (0, 3600):
        settings.TASKTREE = {"SHARE_MESSAGE_FOR": seconds}
        result = fan(2, describe_request, **options)
        world.deliver_all("w")
        seen.append(result.children[1].get())
    own, shared = seen
    assert NodeRun.objects.filter(carried_by__isnull=False).count() == 1
    # The node has no lane where each node has a message.
    assert set(shared.pop("header")) - set(own.pop("header")) == {"lane"}
    assert shared == own


def test_signals_are_sent_for_each_node(world, no_end):
    seen = {"prerun": [], "postrun": [], "success": [], "published": [], "finished": []}
    receivers: dict[Any, Any] = {
        signals.task_prerun: lambda task_id, **_: seen["prerun"].append(task_id),
        signals.task_postrun: lambda task_id, **_: seen["postrun"].append(task_id),
        signals.task_success: lambda sender, **_: seen["success"].append(sender.request.id),
        signals.before_task_publish: lambda headers, **_: seen["published"].append(headers["id"]),
        tree_signals.node_finished: lambda node_id, **_: seen["finished"].append(str(node_id)),
    }
    for signal, receiver in receivers.items():
        signal.connect(receiver, weak=False)
    try:
        result = fan(3)
        world.deliver(world.receive_all()[0], "w")
    finally:
        for signal, receiver in receivers.items():
            signal.disconnect(receiver)
    ids = sorted(str(node.id) for node in result.children)
    assert {name: sorted(set(found)) for name, found in seen.items()} == dict.fromkeys(seen, ids)


def test_headers_that_receivers_add_arrive(world, no_end):
    def add(headers, **_):
        headers["tenant"] = "acme"

    signals.before_task_publish.connect(add)
    try:
        result = fan(2, describe_request)
        world.deliver(world.receive_all()[0], "w")
    finally:
        signals.before_task_publish.disconnect(add)
    assert ["tenant" in node.get()["headers"] for node in result.children] == [True, True]


def test_errors_are_logged_as_celery_logs_them(world, no_end, caplog):
    tree = TaskTree()
    for number in range(2):
        tree.add_task(fail, [f"broken {number}"])
    result = tree.apply_async()
    with caplog.at_level(logging.ERROR, "celery.app.trace"):
        world.deliver(world.receive_all()[0], "w")
    assert [str(record.exc_info[1]) for record in caplog.records if record.exc_info] == ["broken 0", "broken 1"]
    with pytest.raises(CustomError, match="broken 1"):
        result.children[1].get()


# Other processes need not wait


def test_nobody_waits_for_a_long_task_function(world, settings):
    """The function returns only after the others' outcomes are written and the nodes after it are given back."""
    # Long enough for a busy machine to begin the long one; then the time has to end.
    settings.TASKTREE = {"SHARE_MESSAGE_FOR": 5}
    tree = TaskTree()
    for number in range(3):
        tree.add_task(echo, [number])
    tree.add_task(wait_for_siblings)
    for number in range(2):
        tree.add_task(echo, [number])
    result = tree.apply_async()
    first, *_ = world.receive_all()
    world.deliver(first, "w")
    assert outcomes(result) == ["SUCCESS"] * 4 + ["QUEUED"] * 2
    attempts = NodeRun.objects.filter(run_id=result.id).order_by("position").values_list("attempts", flat=True)
    assert list(attempts) == [1, 1, 1, 1, 0, 0]
    assert len(world.receive_all()) > 0
    world.recover(lambda: result.state == "SUCCESS")
    assert result.state == "SUCCESS"


def test_a_paused_run_takes_no_more_nodes(world, no_end):
    result = fan(10)
    messages = world.receive_all()
    result.pause()
    for message in messages:
        world.deliver(message, "w")
    assert set(outcomes(result)) == {"QUEUED", "PENDING"}
    result.resume()
    world.deliver_all("w")
    world.recover(lambda: result.state == "SUCCESS")
    assert result.state == "SUCCESS"


def test_a_node_of_an_unknown_task_gets_a_message_of_its_own(world, no_end):
    """The worker's main process handles it: a worker with newer code may know the task."""
    result = fan(3)
    first, *_ = world.receive_all()
    NodeRun.objects.filter(id=result.children[1].id).update(task="shop.tasks.of_a_newer_version")
    world.deliver(first, "w")
    assert outcomes(result) == ["SUCCESS", "QUEUED", "SUCCESS"]
    (message,) = world.receive_all()
    assert message.headers["task"] == "shop.tasks.of_a_newer_version"
    assert result.children[1].node.attempts == 0


# Lost processes and messages


def carried(result, carrier):
    """Let a message's process die while it runs nodes that it has taken."""
    spec = workers().get(hostname="w")
    rows = NodeRun.objects.filter(run_id=result.id).exclude(id=carrier.id)
    rows.update(state="STARTED", attempts=1, carried_by=carrier.task_id, worker="w", worker_id=spec.id)
    NodeRun.objects.filter(id=carrier.id).update(state="SUCCESS", settled=True, result="1", attempts=1)


def test_nodes_of_a_lost_process_are_queued_again(world):
    result = fan(3)
    message = next(each for each in world.receive_all() if each.id == str(result.children[0].task_id))
    carried(result, result.children[0].node)
    lost_attempts.attempt_lost(message.headers, message.id, echo, RuntimeError("killed"))
    assert outcomes(result) == ["SUCCESS", "QUEUED", "QUEUED"]
    lanes = NodeRun.objects.filter(run_id=result.id).order_by("position").values_list("lane", flat=True)
    assert list(lanes)[1:] == ["", ""], "a node that has killed its process must run alone"
    assert len(world.receive_all()) == 2


@pytest.mark.parametrize(("size", "state"), [(2, "FAILURE"), (3, "QUEUED")])
def test_nodes_of_a_process_that_exceeded_its_time_limit(world, size, state):
    """If there are several, it is not known which one ran so long."""
    result = fan(size)
    message = next(each for each in world.receive_all() if each.id == str(result.children[0].task_id))
    carried(result, result.children[0].node)
    lost_attempts.attempt_timed_out(message.headers, message.id, RuntimeError("too long"))
    assert outcomes(result) == ["SUCCESS", *[state] * (size - 1)]


def test_a_terminated_process_revokes_only_what_was_revoked(world):
    result = fan(3)
    message = next(each for each in world.receive_all() if each.id == str(result.children[0].task_id))
    carried(result, result.children[0].node)
    NodeRun.objects.filter(id=result.children[1].id).update(hold="revoked")
    lost_attempts.attempt_revoked(message.headers, message.id, expired=False, terminated=True)
    assert outcomes(result) == ["SUCCESS", "REVOKED", "QUEUED"]


def test_terminating_a_taken_node_terminates_the_process_of_its_message(world):
    result = fan(3)
    carried(result, result.children[0].node)
    carrier = [UUID(result.children[0].task_id)]
    assert running(result.id, None) == carrier
    assert running(result.id, result.children[1].id) == carrier


def test_a_lane_without_messages_is_woken_up(world, no_end):
    result = fan(40)
    world.receive_all()
    for node in result.children:
        age(node, 60)
    report = sweep(world.app)
    assert report.resent == 5
    world.deliver_all("w")
    assert result.state == "SUCCESS"


def test_a_lane_that_moves_is_left_alone(world):
    result = fan(40)
    world.receive_all()
    for node in result.children:
        age(node, 60)
    NodeRun.objects.filter(id=result.children[0].id).update(state="STARTED")
    NodeRun.objects.filter(id=result.children[0].id).update(started_at=times.now())
    assert sweep(world.app).resent == 0


def test_a_lane_is_left_alone_while_a_worker_holds_one_of_its_messages(world):
    result = fan(40)
    world.receive_all()
    for node in result.children:
        age(node, 60)
    held = result.children[7]
    NodeRun.objects.filter(id=held.id).update(state="SUCCESS", settled=True)
    beat(lambda: replace(world.hosts["w"], holds=[str(held.task_id)]))
    assert sweep(world.app).resent == 0


def test_new_workers_get_messages(world):
    """Two processes are idle: one message is being handled, and none is in the queue."""
    result = fan(40)
    world.receive_all()
    for node in result.children:
        age(node, 60)
    NodeRun.objects.filter(id=result.children[0].id).update(state="STARTED", started_at=times.now())
    workers().filter(hostname="w").update(concurrency=3)
    capacities.forget_workers()
    assert sweep(world.app).resent == 2


def test_every_node_ends_whatever_messages_are_lost(world, no_time):
    result = fan(12)
    for _ in range(40):
        messages = world.receive_all()
        for message in messages[::2]:
            world.deliver(message, "w")
        world.pass_time()
        sweep(world.app)
    assert set(outcomes(result)) <= set(NODE_FINAL)
