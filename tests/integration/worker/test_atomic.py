"""Task functions that share a transaction with the outcome of their node, with Celery's tracing and in eager mode."""

from dataclasses import replace
from uuid import uuid4

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import transaction

from django_tasktree import TaskTree
from django_tasktree.encoding.node_error import NodeError
from django_tasktree.engine.lifecycle import attempts
from django_tasktree.models import NodeRun, TreeRun
from django_tasktree.testing import run_tree
from django_tasktree.worker import execution
from tests import simulation
from tests.integration.engine.trees import ref
from tests.sample import atomic_tasks as tasks
from tests.sample.models import Effect
from tests.sample.tasks import echo


@pytest.fixture
def world(database, app):
    with simulation.simulated(app, "atomic") as world:
        world.start_worker("w")
        yield world


def launched(task, *args):
    """Launch a tree of one node; return its handle and the node."""
    tree = TaskTree()
    node = tree.add_task(task, list(args))
    return tree.apply_async().children[0], node


def execute(world, task, *args):
    """Run a tree of one node on a worker; return the row of the node."""
    handle, _ = launched(task, *args)
    world.deliver_all("w")
    return handle.node


def effects():
    return sorted(Effect.objects.values_list("note", flat=True))


def test_a_success(world):
    row = execute(world, tasks.effect, "a")
    assert (row.state, row.result, effects()) == ("SUCCESS", '"a"', ["a"])
    assert Effect.objects.get().node == row.id


def test_a_success_with_children(world):
    row = execute(world, tasks.effect_and_children, "a")
    assert (row.state, effects()) == ("SUCCESS", ["a", "child"])


def test_a_failure_leaves_neither_rows_nor_children(world):
    row = execute(world, tasks.effect_and_fail, "a")
    assert (row.state, row.error_message, effects()) == ("FAILURE", "after the write", [])
    assert not NodeRun.objects.filter(parent=row).exists()


def test_stop_propagation_is_a_success(world):
    assert (execute(world, tasks.effect_and_stop, "a").state, effects()) == ("SUCCESS", ["a"])


@pytest.mark.parametrize(
    ("task", "state"), [(tasks.effect_and_ignore, "SKIPPED"), (tasks.effect_and_reject, "FAILURE")]
)
def test_ignore_and_reject_roll_back(world, task, state):
    assert (execute(world, task, "a").state, effects()) == (state, [])


@pytest.mark.parametrize(
    ("task", "args"),
    [(tasks.effect_and_retry, [2]), (tasks.effect_and_retry, [2, False]), (tasks.effect_and_autoretry, [2])],
    ids=["retry", "retry without throw", "autoretry"],
)
def test_an_attempt_that_is_retried_leaves_no_rows(world, task, args):
    row = execute(world, task, *args)
    assert (row.state, row.attempts, effects()) == ("SUCCESS", 3, ["2"])


def test_the_message_of_a_retry_is_sent_after_the_rollback(world):
    """A fast worker finds the node in RETRY and none of the rows of the first attempt."""
    handle, _ = launched(tasks.effect_and_retry, 1)
    (message,) = world.receive_all()
    world.deliver(message, "w")
    assert (handle.state, effects()) == ("RETRY", [])
    world.deliver_all("w")
    assert (handle.state, effects()) == ("SUCCESS", ["1"])


def test_on_commit_runs_only_after_a_commit(world, tmp_path):
    path = tmp_path / "committed"
    assert execute(world, tasks.commits, str(path)).state == "FAILURE"
    assert not path.exists()


def test_a_broken_transaction_fails_the_node(world):
    row = execute(world, tasks.broken_transaction, "a")
    assert (row.state, effects()) == ("FAILURE", [])
    assert row.error_type.endswith("TransactionManagementError")


def test_a_deferred_constraint_that_fails_on_commit_fails_the_node(world):
    row = execute(world, tasks.broken_reference, "a")
    assert (row.state, effects()) == ("FAILURE", [])
    assert row.error_type.endswith("IntegrityError")


def test_a_duplicate_message_is_ignored(world):
    handle, _ = launched(tasks.effect, "a")
    (message,) = world.receive_all()
    world.deliver(message, "w")
    world.deliver(message, "w")
    assert (handle.state, effects(), handle.node.attempts) == ("SUCCESS", ["a"], 1)


def test_an_attempt_that_was_replaced_leaves_no_rows(world, monkeypatch):
    """The sweep regards a worker as lost that still runs the attempt; both attempts run to their end.

    The test has a single connection, so the node is requeued after the rollback of the first attempt. When the first
    attempt writes its outcome, it finds the same as in a concurrent process: its task ID is no longer the node's.
    """
    handle, _ = launched(tasks.effect, "a")
    (message,) = world.receive_all()
    attempt = ref(handle.id)
    finish_and_propagate = execution.finish_and_propagate  # type: ignore[attr-defined]
    with monkeypatch.context() as patch:
        patch.setattr(
            execution,
            "finish_and_propagate",
            lambda node, *rest: finish_and_propagate(replace(node, task_id=uuid4()), *rest),
        )
        world.deliver(message, "w")
    assert (handle.state, effects()) == ("STARTED", [])
    again = attempts.requeue(attempt, attempts.LOST, NodeError("Lost", "taken over"))
    execution.publish_after_commit(attempt.run_id, [again])  # type: ignore[attr-defined]
    world.deliver_all("w")
    assert (handle.state, effects(), handle.node.attempts) == ("SUCCESS", ["a"], 2)


def test_a_crash_at_each_step_leaves_one_effect(world):
    """The process dies before each statement of an attempt in turn, and the node gets another attempt."""
    for key in ("first", "whole"):
        launched(tasks.effect_and_children, key)
        with world.counting():
            world.deliver_all("w")
    for point in range(1, world.steps + 1):
        Effect.objects.all().delete()
        world.start_worker("dies")
        handle, _ = launched(tasks.effect_and_children, "a")
        with world.counting(crash_at=point), pytest.raises(simulation.Crash):
            world.deliver_all("dies")
        world.kill_worker("dies")
        run = TreeRun.objects.filter(nodes=handle.id)
        assert world.recover(run.filter(state="SUCCESS").exists), f"crash before step {point}"
        assert (handle.state, effects()) == ("SUCCESS", ["a", "child"]), f"crash before step {point}"


def test_an_error_after_the_commit_does_not_fail_the_node(world, monkeypatch):
    def broken(*_):
        raise RuntimeError("after the commit")

    handle, _ = launched(tasks.effect_and_children, "a")
    monkeypatch.setattr("django_tasktree.dispatch.after_commit.publish", broken)
    (message,) = world.receive_all()
    world.deliver(message, "w")
    assert (handle.state, effects()) == ("SUCCESS", ["a"])


def test_another_database_is_refused_at_launch(database):
    tree = TaskTree()
    tree.add_task(tasks.on_another_database)
    with pytest.raises(ImproperlyConfigured, match=r"on_another_database' has atomic='elsewhere'.*atomic=True"):
        tree.apply_async()
    assert not NodeRun.objects.exists()


def test_another_database_is_refused_by_the_worker(world, monkeypatch):
    monkeypatch.setattr(tasks.on_another_database, "atomic", False)
    handle, _ = launched(tasks.on_another_database)
    monkeypatch.setattr(tasks.on_another_database, "atomic", "elsewhere")
    world.deliver_all("w")
    assert handle.state == "FAILURE"
    assert "one transaction can't span two databases" in handle.node.error_message


def test_the_alias_of_the_database_of_the_nodes_is_accepted(world, database, monkeypatch):
    monkeypatch.setattr(tasks.effect, "atomic", database)
    assert (execute(world, tasks.effect, "a").state, effects()) == ("SUCCESS", ["a"])


@pytest.mark.parametrize("task", [tasks.effect_and_fail, tasks.effect])
def test_an_atomic_task_outside_trees_has_a_transaction(database, task, monkeypatch):
    class Node:
        id = uuid4()

        def add_task(self, *_):
            pass

    monkeypatch.setattr(tasks, "current_node", Node)
    if task is tasks.effect:
        assert task("a") == "a"
    else:
        with pytest.raises(tasks.Broken):
            task("a")
    assert effects() == (["a"] if task is tasks.effect else [])


class TestEager:
    def test_success_and_failure(self, database, eager):
        tree = TaskTree()
        tree.add_task(tasks.effect_and_children, ["a"])
        bad = tree.add_task(tasks.effect_and_fail, ["b"])
        after = bad.add_task(echo, ["after"], run_when="failure")
        result = tree.apply_async()
        assert (result.state, effects()) == ("FAILURE", ["a", "child"])
        assert result[after].successful()

    def test_a_retry(self, database, eager):
        handle, _ = launched(tasks.effect_and_retry, 2)
        assert (handle.state, effects()) == ("SUCCESS", ["2"])

    @pytest.mark.parametrize("outer", [False, True], ids=["no transaction", "in a transaction"])
    def test_run_tree(self, database, tmp_path, outer):
        tree = TaskTree()
        tree.add_task(tasks.effect_and_children, ["a"])
        tree.add_task(tasks.commits, [str(tmp_path / "committed")], allow_failure=True)
        tree.add_task(tasks.effect_and_retry, [1])
        if outer:
            with transaction.atomic(using=database):
                result = run_tree(tree)
        else:
            result = run_tree(tree)
        assert (result.state, effects()) == ("SUCCESS", ["1", "a", "child"])
        assert not (tmp_path / "committed").exists()
