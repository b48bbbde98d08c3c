"""Which nodes are in a chunk, how many messages and statements it needs, and what happens if its process dies."""

import pytest
from django.db import connections
from django.test.utils import CaptureQueriesContext

from django_tasktree import TaskTree
from django_tasktree.dispatch.termination import running
from django_tasktree.models import NodeRun
from django_tasktree.recovery.sweep import sweep
from django_tasktree.signals import node_finished
from django_tasktree.worker import lost_attempts
from tests import simulation
from tests.integration.recovery.scenes import age
from tests.integration.worker.chunk_scenes import QUEUE, errors, fan, outcomes
from tests.sample import chunk_tasks
from tests.sample.chunk_tasks import CALLS, double
from tests.sample.tasks import echo


@pytest.fixture(autouse=True)
def calls():
    """Forget the calls of earlier tests."""
    CALLS.clear()
    return CALLS


@pytest.fixture
def world(database, app):
    """Yield a simulation with a worker that has one process."""
    with simulation.one_process(app, QUEUE) as world:
        yield world


# Messages and claims


def test_a_fan_sends_a_message_for_each_chunk(world, calls):
    result = fan(double, range(25)).apply_async()
    messages = world.receive_all()
    assert len(messages) == 3
    for message in messages:
        world.deliver(message, "w")
    assert [len(call) for call in calls] == [10, 10, 5]
    assert result.state == "SUCCESS"


def test_a_wide_fan_sends_as_many_messages_as_reach_all_processes(world):
    fan(double, range(200)).apply_async()
    assert len(world.receive_all()) == 5


def test_messages_that_arrive_in_another_order_lead_to_whole_chunks(world, settings, calls):
    settings.TASKTREE = {"SHARE_MESSAGE_FOR": 0}
    result = fan(double, range(25)).apply_async()
    for message in reversed(world.receive_all()):
        world.deliver(message, "w")
    world.deliver_all("w")
    assert sorted(map(len, calls)) == [5, 10, 10]
    assert result.state == "SUCCESS"


@pytest.mark.parametrize(
    ("task", "share_for"),
    [(double, 0), (chunk_tasks.with_time_limit, 3600), (chunk_tasks.one_chunk, 3600)],
    ids=["SHARE_MESSAGE_FOR = 0", "a time limit", "share_message=False"],
)
def test_each_chunk_has_a_message(world, settings, calls, task, share_for):
    settings.TASKTREE = {"SHARE_MESSAGE_FOR": share_for}
    result = fan(task, range(200)).apply_async()
    first, *_ = world.receive_all()
    world.deliver(first, "w")
    assert [len(call) for call in calls] == [10]
    (message,) = world.receive_all()
    world.deliver(message, "w")
    assert calls[1] == list(range(10, 20))
    world.deliver_all("w")
    assert result.state == "SUCCESS"
    assert len(calls) == 20


def test_a_message_whose_node_was_taken_runs_another_chunk(world, settings, calls):
    settings.TASKTREE = {"SHARE_MESSAGE_FOR": 0}
    fan(double, range(200)).apply_async()
    first, *_ = world.receive_all()
    for _ in range(3):
        world.deliver(first, "w")
    assert calls == [list(range(start, start + 10)) for start in (0, 10, 20)]


def test_a_process_goes_on_with_more_chunks_while_time_is_left(world, settings, calls):
    settings.TASKTREE = {"SHARE_MESSAGE_FOR": 3600}
    result = fan(double, range(35)).apply_async()
    first, *_ = world.receive_all()
    world.deliver(first, "w")
    assert [len(call) for call in calls] == [10, 10, 10, 5]
    assert world.receive_all() == []
    assert result.state == "SUCCESS"
    carriers = NodeRun.objects.filter(run_id=result.id, carried_by__isnull=False).values_list("carried_by", flat=True)
    assert {str(carrier) for carrier in carriers} == {first.id}


def test_nodes_of_other_tasks_are_not_claimed(world, calls):
    tree = TaskTree()
    for number in range(4):
        tree.add_task(double if number % 2 else chunk_tasks.Triple, [number])
    result = tree.apply_async()
    world.deliver_all("w")
    assert result.join() == [0, 2, 6, 6]
    assert sorted(calls) == [[0, 2], [1, 3]]


@pytest.mark.parametrize("options", [{"share_message": False}, {"on_worker_lost": "fail"}, {"time_limit": 9}])
def test_nodes_that_have_a_message_of_their_own_run_alone(world, calls, options):
    result = fan(double, range(3), **options).apply_async()
    assert world.deliver_all("w") == 3
    assert result.join() == [0, 2, 4]
    assert calls == [[0], [1], [2]]


def test_nodes_on_hold_are_not_claimed(world, calls):
    result = fan(double, range(5)).apply_async()
    messages = world.receive_all()
    result.children[2].pause()
    result.children[3].revoke()
    for message in messages:
        world.deliver(message, "w")
    assert calls == [[0, 1, 4]]
    assert outcomes(result)[3] == "REVOKED"
    result.children[2].resume()
    assert world.recover(lambda: outcomes(result)[2] == "SUCCESS")
    assert calls[1:] == [[2]]


def statements(world, alias, monkeypatch, size):
    monkeypatch.setattr(double, "chunk", size)
    result = fan(double, range(size), ignore_result=True).apply_async()
    first, *_ = world.receive_all()
    with CaptureQueriesContext(connections[alias]) as queries:
        world.deliver(first, "w")
    assert result.state == "SUCCESS"
    assert not [query for query in queries if query["sql"].startswith(("SAVEPOINT", "ROLLBACK"))]
    return len(queries)


def test_statements_for_a_chunk(world, database, settings, monkeypatch):
    settings.TASKTREE = {"SHARE_MESSAGE_FOR": 0}
    small, large = (statements(world, database, monkeypatch, size) for size in (10, 50))
    # PostgreSQL writes all outcomes with one statement, other databases with one for each in one transaction.
    assert (large - small, small <= 25) == (0 if database == "postgresql" else 40, True)


# Lost processes


def claim_chunk(world, monkeypatch, task, size=3):
    """Let a process die in the function that it has called for a chunk; return the run and the message."""
    result = fan(task, range(size)).apply_async()
    first, *_ = world.receive_all()

    def die(*_args):
        raise simulation.Crash

    monkeypatch.setattr(chunk_tasks, "_called", die)
    with pytest.raises(simulation.Crash):
        world.deliver(first, "w")
    monkeypatch.undo()
    assert outcomes(result) == ["STARTED"] * size
    return result, first


def test_all_nodes_of_a_lost_process_run_again(world, monkeypatch, calls):
    result, message = claim_chunk(world, monkeypatch, double)
    lost_attempts.attempt_lost(message.headers, message.id, double, RuntimeError("killed"))
    assert outcomes(result) == ["QUEUED"] * 3
    world.deliver_all("w")
    assert calls == [[0], [1], [2]], "a node that has killed its process must run alone"
    assert result.state == "SUCCESS"


def test_nodes_whose_function_was_called_are_lost_if_the_process_ends(world, calls):
    """Their attempts are not given back: the function would be called twice for one attempt."""
    tree = TaskTree()
    for number in range(4):
        tree.add_task(double, [number]).add_task(echo, ["below"])
    result = tree.apply_async()
    first, *_ = world.receive_all()

    def leave(node_id, **_):
        if str(node_id) == str(result.children[1].id):
            raise SystemExit

    node_finished.connect(leave)
    try:
        with pytest.raises(SystemExit):
            world.deliver(first, "w")
    finally:
        node_finished.disconnect(leave)
    assert outcomes(result) == ["SUCCESS", "SUCCESS", "STARTED", "STARTED"]
    lost_attempts.attempt_lost(first.headers, first.id, double, SystemExit())
    world.deliver_all("w")
    assert calls == [[0, 1, 2, 3], [2], [3]]
    assert sorted(NodeRun.objects.filter(run_id=result.id, parent=None).values_list("attempts", flat=True)) == [
        1,
        1,
        2,
        2,
    ]


def test_a_time_limit_is_that_of_all_nodes(world, monkeypatch):
    result, message = claim_chunk(world, monkeypatch, chunk_tasks.with_time_limit)
    lost_attempts.attempt_timed_out(message.headers, message.id, RuntimeError("too long"))
    assert outcomes(result) == ["FAILURE"] * 3
    assert errors(result) == ["too long"] * 3


def test_terminating_one_node_queues_the_others_again(world, monkeypatch):
    result, message = claim_chunk(world, monkeypatch, double)
    assert running(result.id, result.children[1].id) == [result.children[0].node.task_id]
    NodeRun.objects.filter(id=result.children[1].id).update(hold="revoked")
    lost_attempts.attempt_revoked(message.headers, message.id, expired=False, terminated=True)
    assert outcomes(result) == ["QUEUED", "REVOKED", "QUEUED"]


def test_terminating_the_first_node_queues_the_others_again(world, monkeypatch):
    result, message = claim_chunk(world, monkeypatch, double)
    lost_attempts.attempt_revoked(message.headers, message.id, expired=False, terminated=True)
    assert outcomes(result) == ["REVOKED", "QUEUED", "QUEUED"]


def test_lost_messages_are_sent_again_for_each_chunk(world, calls):
    result = fan(double, range(25)).apply_async()
    world.receive_all()
    for node in result.children:
        age(node, 60)
    assert sweep(world.app).resent == 3
    world.deliver_all("w")
    assert result.state == "SUCCESS"


def test_a_lost_worker_is_noticed_by_the_sweep(world, monkeypatch):
    result, _ = claim_chunk(world, monkeypatch, double)
    world.kill_worker("w")
    assert world.recover(lambda: result.state == "SUCCESS")
