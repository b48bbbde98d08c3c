"""A task function with ``chunk`` is called once for many nodes; each node has an outcome of its own."""

from typing import Any

import pytest
from celery import signals
from django.db import transaction
from django.utils.functional import SimpleLazyObject

from django_tasktree import TaskTree
from django_tasktree import signals as tree_signals
from django_tasktree.dispatch.message import HEADER
from django_tasktree.models import NodeAttempt, NodeRun
from django_tasktree.testing import run_tree
from tests import celery_settings, simulation
from tests.integration.worker.chunk_scenes import QUEUE, errors, fan, outcomes
from tests.sample import chunk_tasks
from tests.sample.chunk_tasks import CALLS, Broken, double, some_fail
from tests.sample.models import Effect
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


@pytest.fixture(params=["worker", "process"])
def run(request, database, app):
    """Return a function that runs a tree with a worker, or in this process."""
    if request.param == "process":
        yield run_tree
        return
    world = request.getfixturevalue("world")

    def run_with_worker(tree):
        result = tree.apply_async()
        world.deliver_all("w")
        return result

    yield run_with_worker


# Calls


def test_a_function_is_called_once_for_a_chunk(run, calls):
    result = run(fan(double, range(25)))
    assert result.join() == [2 * number for number in range(25)]
    assert calls == [list(range(10)), list(range(10, 20)), list(range(20, 25))]
    assert result.state == "SUCCESS"


def test_each_parameter_gets_a_list(run, calls):
    tree = TaskTree()
    tree.add_task(chunk_tasks.describe, ["a"])
    tree.add_task(chunk_tasks.describe, ["b", 2], {"third": 3})
    tree.add_task(chunk_tasks.describe, ["c"], {"second": 4})
    result = run(tree)
    head = str(result.children[0].task_id)
    assert result.join() == [["a", "s", None, head], ["b", 2, 3, head], ["c", 4, None, head]]
    assert calls == [["a", "b", "c"]]


def test_nodes_with_other_parents_are_in_one_chunk(run, calls):
    tree = TaskTree()
    for number in range(3):
        tree.add_task(echo, [number]).add_task(double, [number])
    tree.gather(echo, ["end"])
    result = run(tree)
    assert result.state == "SUCCESS"
    assert sorted(number for call in calls for number in call) == [0, 1, 2]


def test_references_are_filled_in(run, calls):
    tree = TaskTree()
    top = tree.add_task(echo, [{"rows": [1, 2, 3]}])
    for number in range(3):
        top.add_task(double, [top.output["rows"][number]])
    top.add_task(double, [top.output["rows"][7]])
    broken = top.add_task(double, [top.output["no"]])
    top.add_task(double, [4])
    result = run(tree)
    assert [node.state for node in result[top].children] == ["SUCCESS"] * 3 + ["FAILURE"] * 2 + ["SUCCESS"]
    assert "'no'" in NodeRun.objects.get(id=result[broken].id).error_message
    assert calls == [[1, 2, 3, 4]]


def test_a_node_with_wrong_arguments_fails_alone(run, calls):
    result = run(fan(double, range(3)))
    tree = TaskTree()
    tree.add_task(chunk_tasks.Triple, [1])
    tree.add_task(chunk_tasks.Triple, [2], {"unknown": 3})
    tree.add_task(chunk_tasks.Triple, [4])
    calls.clear()
    result = run(tree)
    assert outcomes(result) == ["SUCCESS", "FAILURE", "SUCCESS"]
    assert "unexpected keyword argument 'unknown'" in errors(result)[1]
    assert calls == [[1, 4]]


def test_a_class_may_have_a_chunk(run, calls):
    assert run(fan(chunk_tasks.Triple, range(12))).join() == [3 * number for number in range(12)]
    assert [len(call) for call in calls] == [10, 2]


def test_a_chunk_of_one(run, calls):
    assert run(fan(chunk_tasks.single, range(3))).join() == [0, 1, 2]
    assert calls == [[0], [1], [2]]


def test_hooks_run_for_each_node(run, calls):
    result = run(fan(chunk_tasks.hooked, ["a", "refuse", "b"]))
    assert outcomes(result) == ["SUCCESS", "FAILURE", "SUCCESS"]
    assert result.children[2].get() == ["around", "b"]
    assert calls == [["a", "refuse", "b"]]


def test_if_the_first_node_fails_before_the_call_the_others_run_in_another_chunk(run, calls):
    result = run(fan(chunk_tasks.hooked, ["refuse", "a", "b"]))
    assert outcomes(result) == ["FAILURE", "SUCCESS", "SUCCESS"]
    assert calls == [["a", "b"]]
    attempts = NodeRun.objects.filter(run_id=result.id).values_list("attempts", flat=True)
    assert set(attempts) == {1}


def test_a_function_may_call_its_task_with_lists(run, calls):
    assert run(fan(chunk_tasks.call_itself, [5, 6])).join() == [0, 0]
    assert calls == [[5, 6], [0, 0]]


def test_there_is_no_current_node(run):
    result = run(fan(chunk_tasks.ask_for_node, range(2)))
    assert outcomes(result) == ["FAILURE"] * 2
    assert "several nodes at once" in errors(result)[1]


def test_a_failed_statement_does_not_undo_the_claims(run):
    result = run(fan(chunk_tasks.with_refused_statement, range(3)))
    assert result.join() == [0, 1, 2]


def test_nodes_under_a_limit_run_alone(run, calls):
    tree = TaskTree(max_active=2)
    for number in range(3):
        tree.add_task(double, [number])
    assert run(tree).join() == [0, 2, 4]
    assert calls == [[0], [1], [2]]


# Outcomes


def test_an_exception_in_the_list_is_of_its_node(run, calls):
    result = run(fan(some_fail, [1, -1, "stop", "ignore", "reject", 2]))
    assert outcomes(result) == ["SUCCESS", "FAILURE", "SUCCESS", "SKIPPED", "FAILURE", "SUCCESS"]
    assert result.children[2].get() == "stopped"
    assert errors(result)[1] == "-1"
    assert len(calls) == 1


def test_an_exception_of_the_function_is_of_all_nodes(run, calls):
    tree = fan(chunk_tasks.all_fail, range(2))
    tree.add_task(chunk_tasks.all_fail, [2], allow_failure=True)
    result = run(tree)
    assert outcomes(result) == ["FAILURE"] * 3
    assert errors(result) == ["3 together"] * 3
    rows = NodeRun.objects.filter(run_id=result.id)
    assert all("in all_fail" in row.traceback for row in rows)
    assert {row.allow_failure: row.subtree_failed for row in rows} == {False: True, True: False}


def test_an_exit_of_the_function_fails_all_nodes(run):
    result = run(fan(chunk_tasks.leave, range(3)))
    assert outcomes(result) == ["FAILURE"] * 3
    assert "left" in errors(result)[2]


@pytest.mark.parametrize(
    ("returned", "error"),
    [
        ([1, 2], "it returned 2"),
        ([], "it returned 0"),
        ("abc", "of type str"),
        ({"a": 1, "b": 2, "c": 3}, "of type dict"),
        (None, "of type NoneType"),
        (3, "of type int"),
    ],
)
def test_another_result_than_a_list_fails_all_nodes(run, returned, error):
    result = run(fan(chunk_tasks.returns, [returned] * 3))
    assert outcomes(result) == ["FAILURE"] * 3
    assert all(error in message and "here 3" in message for message in errors(result))


def test_a_lazy_result_that_fails_is_of_all_nodes(run, monkeypatch):
    def evaluate():
        raise Broken("too late")

    monkeypatch.setattr(chunk_tasks, "_called", lambda _: [[1, SimpleLazyObject(evaluate), 3]])
    result = run(fan(chunk_tasks.returns, range(3)))
    assert outcomes(result) == ["FAILURE"] * 3
    assert errors(result) == ["too late"] * 3


def test_automatic_retries_of_one_node(run, calls):
    result = run(fan(chunk_tasks.auto_retry, [1, -1, 2]))
    assert result.join() == [1, -1, 2]
    assert calls == [[1, -1, 2], [-1]]
    assert NodeAttempt.objects.filter(node__run_id=result.id).count() == 1


def test_automatic_retries_of_all_nodes(run, calls):
    result = run(fan(chunk_tasks.auto_retry_all, range(3)))
    assert result.join() == [0, 1, 2]
    assert sorted(calls, key=len, reverse=True) == [[0, 1, 2], [0], [1], [2]]


@pytest.mark.parametrize("throw", [True, False])
def test_a_retry_is_of_all_nodes(run, calls, throw):
    tree = TaskTree()
    for number in range(3):
        tree.add_task(chunk_tasks.ask_retry, [number, throw])
    result = run(tree)
    assert result.join() == [0, 1, 2]
    assert sorted(calls, key=len, reverse=True) == [[0, 1, 2], [0], [1], [2]]
    attempts = NodeAttempt.objects.filter(node__run_id=result.id)
    assert {attempt.error_message for attempt in attempts} == {"not together"}
    assert attempts.count() == 3


def test_a_function_may_handle_that_no_retry_is_left(run, calls):
    result = run(fan(chunk_tasks.give_up, range(3)))
    assert result.join() == [0, 1, 2]
    assert calls == [[0, 1, 2]]


def test_a_retry_keeps_the_arguments(run):
    result = run(fan(chunk_tasks.retry_with_arguments, range(2)))
    assert outcomes(result) == ["FAILURE"] * 2
    assert "keeps the arguments" in errors(result)[1]


def test_signals_are_sent_for_each_node(run):
    seen = {"prerun": [], "success": [], "failure": [], "finished": []}
    receivers: dict[Any, Any] = {
        signals.task_prerun: lambda task_id, **_: seen["prerun"].append(task_id),
        signals.task_success: lambda sender, **_: seen["success"].append(sender.request.id),
        signals.task_failure: lambda task_id, **_: seen["failure"].append(task_id),
        tree_signals.node_finished: lambda node_id, **_: seen["finished"].append(str(node_id)),
    }
    for signal, receiver in receivers.items():
        signal.connect(receiver, weak=False)
    try:
        result = run(fan(some_fail, [1, -1, 2]))
    finally:
        for signal, receiver in receivers.items():
            signal.disconnect(receiver)
    ids = [str(node.id) for node in result.children]
    assert set(seen["prerun"]) == set(seen["finished"]) == set(ids)
    assert sorted(seen["success"]) == sorted([ids[0], ids[2]])
    assert seen["failure"] == [ids[1]]


# In this process


def test_chunks_inside_a_transaction(database, calls):
    """A failed statement of the function rolls its own writes back, and not the claims of the nodes."""
    with transaction.atomic(using=database):
        result = run_tree(fan(chunk_tasks.with_refused_statement, range(3)))
        assert result.join() == [0, 1, 2]
    assert calls == [[0, 1, 2]]


def test_an_interrupt_queues_the_other_nodes_again(database, monkeypatch):
    def interrupt(*_args):
        raise KeyboardInterrupt

    monkeypatch.setattr(chunk_tasks, "_called", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run_tree(fan(double, range(3)))
    assert sorted(NodeRun.objects.values_list("state", flat=True)) == ["FAILURE", "QUEUED", "QUEUED"]


# Outside of trees


def test_a_direct_call_takes_lists():
    assert double([1, 2]) == [2, 4]
    assert double.run([3]) == [6]
    assert double(values=[1]) == [2]


def test_a_message_outside_a_tree_is_a_chunk_of_one(app, calls):
    with celery_settings.changed(app, task_always_eager=True):
        assert double.delay(3).get() == 6
        assert double.s(4).apply().get() == 8
        assert some_fail.delay(-1).state == "FAILURE"
        assert chunk_tasks.auto_retry_all.apply(["x"], task_id="any text").get() == "x"
    assert calls == [[3], [4], [-1], ["x"]]


def test_a_message_outside_a_tree_in_a_worker(world):
    double.apply_async([3])
    (message,) = world.receive_all()
    assert HEADER not in message.headers
    assert world.deliver(message, "w")[1] == "6"


def test_callbacks_outside_a_tree(run, calls, app):
    with celery_settings.changed(app, task_always_eager=True):
        result = double.delay(1, callback=[double.si(2), double.si(3)])
        assert result.get() == 2
        assert result.async_result.join() == [4, 6]
    assert calls == [[1], [2, 3]]
    assert Effect.objects.count() == 0
