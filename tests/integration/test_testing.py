"""``run_tree``: the same engine in the test's own process, inside a transaction or not."""

import logging
import subprocess
import sys
from typing import ClassVar

import pytest
from django.contrib.auth import get_user_model
from django.db import IntegrityError, connection, transaction
from django.test import TestCase, TransactionTestCase

from django_tasktree import TaskTree, TreeResult, current_node, task_with_callbacks
from django_tasktree.models import NodeAttempt, NodeRun, TreeRun
from django_tasktree.testing import run_tree
from tests.patience import PATIENCE
from tests.sample import tasks
from tests.sample.tasks import CustomError, echo

events = []


@pytest.fixture(autouse=True)
def _no_events():
    events.clear()


@task_with_callbacks(name="tests.testing.commits")
def commits(name):
    def nested():
        events.append(f"{name}, in a callback")

    before = list(events)
    with transaction.atomic():
        transaction.on_commit(lambda: events.append(name))
        transaction.on_commit(lambda: events.append(f"{name}, nested") or transaction.on_commit(nested))

    return before


@task_with_callbacks(name="tests.testing.rolls_back")
def rolls_back():
    try:
        with transaction.atomic():
            transaction.on_commit(lambda: events.append("never"))
            raise CustomError
    except CustomError:
        return


@task_with_callbacks(name="tests.testing.callback_fails")
def callback_fails(robust):
    def callback():
        raise CustomError("in a callback")

    transaction.on_commit(callback, robust=robust)


@task_with_callbacks(name="tests.testing.breaks_its_transaction")
def breaks_its_transaction():
    get_user_model().objects.create(username="twice")
    get_user_model().objects.create(username="twice")


@task_with_callbacks(name="tests.testing.writes_and_fails")
def writes_and_fails():
    get_user_model().objects.create(username="written")
    raise CustomError("after a write")


@task_with_callbacks(name="tests.testing.launches")
def launches(depth):
    tree = TaskTree(f"inner {depth}")
    tree.add_task(launches, [depth - 1]) if depth else tree.add_task(tasks.fail)
    return str(tree.apply_async().id)


@task_with_callbacks(name="tests.testing.runs_a_tree")
def runs_a_tree():
    inner = TaskTree("inner")
    inner.add_task(commits, ["inner"])
    before = current_node().id
    result = run_tree(inner)
    assert current_node().id == before
    return [result.state, list(events)]


@task_with_callbacks(name="tests.testing.later", bind=True, max_retries=None)
def later(self, times, countdown=None):
    if self.request.retries < times:
        raise self.retry(countdown=countdown, exc=CustomError("not yet"))
    return self.request.retries


def of(task, *args, **options):
    tree = TaskTree()
    return tree, tree.add_task(task, args, **options)


class Cases:
    """What must hold inside the transaction of a ``TestCase`` and without one."""

    databases: ClassVar = {"default"}

    def test_a_tree(self):
        tree = TaskTree("sums")
        first = tree.add_task(tasks.add, [1, 2])
        second = first.add_task(tasks.add, [first.output, 10])
        gather = tree.gather(tasks.total, [tree.outputs])
        user = get_user_model().objects.create(username="u")
        result = run_tree(tree, key="once", launched_by=user)
        assert (result.state, result.run.name, result.run.launched_by) == ("SUCCESS", "sums", user)
        assert (result[second].get(), result[gather].get(), result.join()) == (13, 3, [3, 3])
        assert run_tree(tree, key="once") == result
        assert TreeRun.objects.count() == 1

    def test_the_name_of_a_definition(self):
        result = run_tree("inventory", {"path": "tests/sample"})
        assert (result.state, result.run.definition) == ("SUCCESS", "inventory")

    def test_params_belong_to_a_name(self):
        with pytest.raises(TypeError, match="params are those of a definition"):
            run_tree(TaskTree(), {})

    def test_a_failure_is_in_the_row(self):
        tree, node = of(tasks.fail, "no luck")
        result = run_tree(tree)
        assert (result.state, result[node].state) == ("FAILURE", "FAILURE")
        assert result[node].node.error_message == "no luck"

    def test_a_task_that_is_not_registered_fails_its_node(self):
        tree, node = of(echo)
        node.task = "tests.nowhere"
        result = run_tree(tree)
        assert (result.state, result[node].node.error_type) == ("FAILURE", "celery.exceptions.NotRegistered")

    def test_retries_run_at_once(self):
        tree, node = of(later, 3, 3600)
        row = run_tree(tree)[node].node
        assert (row.state, row.result, row.attempts, row.retries) == ("SUCCESS", "3", 4, 3)
        assert NodeAttempt.objects.filter(node=row).count() == 3

    def test_many_retries_use_no_stack(self):
        tree, node = of(later, 300)
        assert run_tree(tree)[node].get() == 300

    def test_commits_of_bodies(self):
        tree, node = of(commits, "first")
        second = node.add_task(commits, ["second"])
        result = run_tree(tree)
        of_first = ["first", "first, nested", "first, in a callback"]
        assert (result[node].get(), result[second].get()) == ([], of_first)
        assert events == [*of_first, "second", "second, nested", "second, in a callback"]

    def test_what_a_body_rolls_back_is_not_committed(self):
        tree, node = of(rolls_back)
        assert run_tree(tree)[node].state == "SUCCESS"
        assert events == []

    def test_a_callback_that_fails_fails_its_node(self):
        tree, node = of(callback_fails, False)
        assert run_tree(tree)[node].node.error_message == "in a callback"

    def test_a_robust_callback_that_fails_does_not(self):
        tree, node = of(callback_fails, True)
        assert run_tree(tree)[node].state == "SUCCESS"

    def test_a_statement_that_fails_does_no_harm(self):
        tree, node = of(breaks_its_transaction)
        after = node.add_task(echo, ["after"], run_when="failure")
        result = run_tree(tree)
        assert result[node].node.error_type == f"{IntegrityError.__module__}.IntegrityError"
        assert result[after].get() == "after"

    def test_what_a_body_wrote_before_it_failed_stays(self):
        tree, _ = of(writes_and_fails)
        assert run_tree(tree).state == "FAILURE"
        assert get_user_model().objects.filter(username="written").exists()

    def test_trees_that_bodies_launch_have_ended_too(self):
        tree, _ = of(launches, 3)
        assert run_tree(tree).state == "SUCCESS"
        states = dict(TreeRun.objects.values_list("name", "state"))
        assert states == {"launches": "SUCCESS", **{f"inner {n}": "SUCCESS" for n in (1, 2, 3)}, "inner 0": "FAILURE"}

    def test_run_tree_in_a_body(self):
        tree, node = of(runs_a_tree)
        beside = tree.add_task(commits, ["outer"])
        result = run_tree(tree)
        assert result[node].get() == ["SUCCESS", ["inner", "inner, nested", "inner, in a callback"]]
        assert result[beside].state == "SUCCESS"

    def test_nothing_is_left_for_later(self):
        tree, _ = of(commits, "x")
        before = len(connection.run_on_commit)
        run_tree(tree)
        assert len(connection.run_on_commit) == before

    def test_an_earlier_callback_is_not_ours(self):
        if connection.in_atomic_block:
            transaction.on_commit(lambda: events.append("mine"))
            run_tree(of(commits, "x")[0])
            assert "mine" not in events
            with self.captureOnCommitCallbacks(execute=True):
                pass

    def test_in_an_atomic_block(self):
        with transaction.atomic():
            result = run_tree(of(commits, "x")[0])
            assert result.state == "SUCCESS"
            assert len(events) == 3
        assert len(events) == 3

    def test_a_wide_fan(self):
        tree, node = of(echo)
        for number in range(700):
            node.add_task(echo, [number])
        gather = node.gather(tasks.total, [node.outputs])
        assert run_tree(tree)[gather].get() == sum(range(700))

    def test_a_draining_limit(self):
        tree = TaskTree(max_active=2)
        for number in range(5):
            tree.add_task(echo, [number])
        assert run_tree(tree).join() == [0, 1, 2, 3, 4]


class TestInATransaction(Cases, TestCase):
    pass


class TestWithoutATransaction(Cases, TransactionTestCase):
    pass


class TestInATransactionOfPostgreSQL(Cases, TestCase):
    databases: ClassVar = {"default", "postgresql"}

    @pytest.fixture(autouse=True)
    def _route(self):
        from tests import databases, services

        services.need(services.POSTGRESQL)
        with databases.active("postgresql"):
            yield

    test_an_earlier_callback_is_not_ours = None
    test_in_an_atomic_block = None
    test_nothing_is_left_for_later = None


@pytest.mark.django_db
def test_the_fixture_in_a_transaction(run_tree):
    assert run_tree(of(echo, 1)[0]).join() == [1]


@pytest.mark.django_db(transaction=True)
def test_the_fixture_without_one(run_tree):
    result = run_tree(of(echo, 1)[0])
    assert isinstance(result, TreeResult)
    assert result.join() == [1]


@pytest.mark.django_db
def test_outside_run_tree_nothing_is_run(run_tree, caplog):
    caplog.set_level(logging.CRITICAL)
    run_tree(of(echo, 1)[0])
    tree, node = of(echo, 2)
    assert tree.apply_async()[node].state == "QUEUED"


@pytest.mark.django_db
def test_an_error_leaves_no_rest(run_tree, monkeypatch):
    def broken(*args, **options):
        raise RuntimeError("the engine broke")

    tree, _ = of(echo)
    with monkeypatch.context() as patch:
        patch.setattr("django_tasktree.worker.follow.settle", broken)
        with pytest.raises(RuntimeError, match="the engine broke"):
            run_tree(tree)
    assert run_tree(of(echo, 1)[0]).join() == [1]


@pytest.mark.long
@pytest.mark.django_db
def test_a_chain_of_ten_thousand(run_tree):
    tree = TaskTree()
    for number in range(10_000):
        tree.push(echo, [number])
    result = run_tree(tree)
    assert result.state == "SUCCESS"
    assert NodeRun.objects.filter(run_id=result.id, state="SUCCESS", settled=True).count() == 10_000


def test_importing_the_package_needs_no_pytest():
    code = (
        "import sys; sys.modules['pytest'] = None; import django, os;"
        "os.environ['DJANGO_SETTINGS_MODULE'] = 'testproject.settings'; django.setup();"
        "import django_tasktree.testing"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=PATIENCE)


def test_the_plugin_needs_no_settings():
    code = "import django_tasktree.testing.pytest_plugin"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=PATIENCE, env={"PATH": ""})
