"""Handles: their values, how they wait, what they raise."""

import asyncio
import threading
import uuid

import pytest
from celery.result import allow_join_result
from django.db import connections, transaction

from django_tasktree import NodeResult, TaskTree, TreeResult, join_tree, task_with_callbacks
from django_tasktree.client.waiting import Awaited, wait_for
from django_tasktree.exceptions import NodeNotRun, RunNotFound, WaitTimeout
from django_tasktree.models import NodeRun, TreeRun
from django_tasktree.reporting.progress import Progress
from tests.integration.engine.trees import insert_run, tree_of
from tests.patience import PATIENCE
from tests.sample import tasks
from tests.sample.tasks import CustomError, add, echo

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def finished(eager):
    """Return the handle of a run that has failed, and the nodes of its tree."""
    tree = TaskTree("shop")
    one = tree.add_task(add, [1, 2])
    two = one.add_task(add, [one.output, 10])
    bad = tree.add_task(tasks.fail, ["no luck"])
    skipped = bad.add_task(echo)
    return tree.apply_async(), (one, two, bad, skipped)


@pytest.fixture
def waiting():
    """Return the handle of a run whose nodes stay queued."""
    launched, _ = insert_run(tree_of([], []))
    return TreeResult(launched.run_id)


def test_the_handle_of_a_run(finished):
    result, _ = finished
    assert (result.state, result.ready(), result.successful(), result.failed()) == ("FAILURE", True, False, True)
    assert result.run.name == "shop"
    assert result.progress() == Progress("FAILURE", 4, 4, {"FAILURE": 1, "SKIPPED": 1, "SUCCESS": 2})
    assert (result.progress().failed, result.progress().fraction) == (1, 1.0)
    assert len(result) == 2
    assert [child.name for child in result] == [add.name, tasks.fail.name]
    assert TreeResult(str(result.id)) == result
    assert len({TreeResult(result.id), result}) == 1


def test_the_handle_of_a_node(finished):
    result, (one, two, bad, skipped) = finished
    node = result[two]
    assert (node.state, node.result, node.ready(), node.successful(), node.failed()) == (
        "SUCCESS",
        13,
        True,
        True,
        False,
    )
    assert node.parent == result[one]
    assert result[one].parent is None
    assert node.run == result
    assert node.task_id == str(node.node.task_id)
    assert result[one].children == [node]
    assert NodeResult(str(node.id)) == node
    assert "in fail" in result[bad].traceback.splitlines()[1], "the traceback does not begin with the task function"
    assert isinstance(result[bad].result, CustomError)
    assert result[skipped].result is None


def test_join_raises_the_exception_of_the_task(finished):
    result, _ = finished
    with pytest.raises(CustomError, match="no luck"):
        result.join()
    values = result.join(propagate=False)
    assert values[0] == 3
    assert isinstance(values[1], CustomError)


def test_a_node_that_did_not_run_has_no_result(finished):
    result, (*_, skipped) = finished
    with pytest.raises(NodeNotRun, match="SKIPPED"):
        result[skipped].get()
    assert result[skipped].get(propagate=False) is None


def test_a_node_below_a_skipped_node_raises_at_once(eager):
    tree = TaskTree()
    below = tree.add_task(tasks.fail).add_task(echo).add_task(echo)
    result = tree.apply_async()
    with pytest.raises(NodeNotRun, match="PENDING"):
        result[below].get(timeout=PATIENCE)


def test_a_node_of_another_tree_is_unknown(finished):
    result, _ = finished
    with pytest.raises(KeyError, match="no node of the tree"):
        result[TaskTree().add_task(echo)]
    assert result[0].name == add.name


def test_waiting_times_out(waiting):
    for wait in (waiting.wait, waiting.join, waiting.get, waiting.children[0].get, waiting.children[0].wait):
        with pytest.raises(WaitTimeout, match="it continues"):
            wait(timeout=0.02)


def test_a_run_that_does_not_exist_raises():
    unknown = TreeResult(uuid.uuid4())
    for ask in (unknown.wait, unknown.join, unknown.ready, NodeResult(uuid.uuid4()).get):
        with pytest.raises(RunNotFound, match="rolled back"):
            ask()


def test_a_node_that_does_not_exist_raises():
    unknown = NodeResult(uuid.uuid4())
    for ask in (unknown.ready, unknown.complete, lambda: unknown.state, lambda: unknown.node, lambda: unknown.children):
        with pytest.raises(RunNotFound, match=f"no node {unknown.id}: was its launch rolled back"):
            ask()


def test_waiting_inside_the_transaction_of_the_launch_is_explained(waiting):
    with transaction.atomic(), pytest.raises(WaitTimeout, match="messages are sent only when it commits"):
        waiting.wait(timeout=0.02)


def test_the_end_of_a_run_wakes_waiters_at_once(waiting, settings):
    """The signal of the end wakes waiters in the same process, independent of their back-off."""
    from django_tasktree.signals import run_finished

    started, looks = threading.Event(), []

    def look():
        looks.append(1)
        started.set()
        return "ended" if len(looks) > 1 else None

    settings.TASKTREE = {"WAIT_INTERVAL": 60, "WAIT_INTERVAL_MAX": 60}
    waiter = threading.Thread(target=wait_for, args=(Awaited(look, "it"), None))
    waiter.start()
    assert started.wait(PATIENCE)
    while waiter.is_alive():
        run_finished.send(sender=None)
        waiter.join(0.01)
    assert len(looks) == 2


def test_waiting_backs_off(waiting, monkeypatch):
    pauses = []
    monkeypatch.setattr(threading.Event, "wait", lambda self, seconds=None: pauses.append(seconds))
    clock = iter(range(1000))
    monkeypatch.setattr("django_tasktree.client.waiting.time.monotonic", lambda: next(clock))
    with pytest.raises(WaitTimeout):
        wait_for(Awaited(lambda: None, "it"), 20)
    assert pauses[0] < pauses[-2]
    assert max(pauses) <= 0.25


def test_each_check_is_one_query(waiting, django_assert_num_queries):
    with django_assert_num_queries(1), pytest.raises(WaitTimeout):
        waiting.wait(timeout=0)
    with django_assert_num_queries(1), pytest.raises(WaitTimeout):
        waiting.join(timeout=0)


def test_progress_takes_three_queries(waiting, django_assert_num_queries):
    with django_assert_num_queries(3):
        assert waiting.progress().by_state == {"QUEUED": 2}


def test_waiting_inside_a_task_is_refused(eager):
    @task_with_callbacks(name=f"tests.waits.{uuid.uuid4()}")
    def waits(run_id):
        return TreeResult(run_id).join()

    inner = TaskTree()
    inner.add_task(echo, [1])
    run_id = str(inner.apply_async().id)
    with pytest.raises(RuntimeError, match="within a task"):
        waits.apply_async([run_id]).get()
    with allow_join_result():
        assert TreeResult(run_id).join() == [1]


def test_async_twins(eager):
    async def main():
        tree = TaskTree()
        node = tree.add_task(echo, [5])
        result = await tree.aapply_async()
        joined, got, one = await result.ajoin(10), await result.aget(10), await result[node].aget(10)
        return joined, got, one, await result.await_finished(10)

    try:
        assert asyncio.run(main()) == ([5], [5], 5, "SUCCESS")
    finally:
        connections.close_all()


def test_async_waiting_times_out(waiting):
    with pytest.raises(WaitTimeout):
        asyncio.run(waiting.ajoin(timeout=0.02))


def test_join_raises_a_failure_before_the_run_has_ended(waiting):
    first = NodeRun.objects.get(id=waiting.children[0].id)
    NodeRun.objects.filter(id=first.id).update(state="FAILURE", error_type="builtins.ValueError", error_message="early")
    with pytest.raises(ValueError, match="early"):
        waiting.join(timeout=5)
    assert TreeRun.objects.get(id=waiting.id).state == "STARTED"


@pytest.mark.parametrize("handle", [TreeResult, NodeResult])
@pytest.mark.parametrize("text", ["nope", "", 7, None])
def test_an_invalid_id_is_refused(handle, text):
    with pytest.raises(ValueError, match=r"is not the ID of a run or a node, which is a UUID"):
        handle(text)


def test_a_retry_from_a_node_of_another_run_is_refused(finished, eager):
    result, _ = finished
    tree = TaskTree()
    node = tree.add_task(echo, [1])
    other = tree.apply_async()
    with pytest.raises(ValueError, match=f"belongs to run {other.id}, not to run {result.id}"):
        result.retry(from_node=other[node])
    with pytest.raises(ValueError, match=f"belongs to run {other.id}, not to run {result.id}"):
        result.preview("retry", from_node=other[node])
    assert (other[node].node.attempts, other.history, result.history) == (1, [], [])
    assert result.retry(from_node=result[0]).again == 2


def test_async_waiting_inside_a_task_is_refused(eager):
    @task_with_callbacks(name=f"tests.waits.{uuid.uuid4()}")
    def waits(run_id):
        handle = TreeResult(run_id)
        return asyncio.run(handle.await_finished(timeout=1))

    run_id = str(TaskTree().apply_async().id)
    with pytest.raises(RuntimeError, match="within a task"):
        waits.apply_async([run_id]).get()


@pytest.mark.parametrize("key", [slice(0, 1), None, 0.0, [0], {}, TaskTree("shop"), uuid.UUID(int=5)], ids=repr)
def test_what_is_neither_a_node_nor_a_path_nor_a_position_is_no_key(finished, key):
    text = "must be a node, as add_task.. returned it, the path of a node, .* or the position of a root node, not "
    with pytest.raises(TypeError, match=text):
        finished[0][key]


def test_the_tree_itself_is_no_key(eager):
    tree = TaskTree()
    with pytest.raises(TypeError, match="not <TaskTree"):
        tree.apply_async()[tree]  # type: ignore[call-overload]


@pytest.mark.parametrize("given", [None, [], "x", uuid.UUID(int=5)], ids=repr)
def test_join_tree_refuses_what_is_no_handle(given):
    with pytest.raises(TypeError, match=r"join_tree\(\) takes the handle of a run"):
        join_tree(given)


def test_join_tree_takes_the_children_of_a_node(finished):
    result, (one, _two, _bad, _skipped) = finished
    assert join_tree(result) == [3, 13]
    assert join_tree(result[one].async_result) == [13]
    with pytest.raises(TypeError, match="not <NodeResult"):
        join_tree(result[one])
