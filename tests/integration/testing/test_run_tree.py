"""``run_tree`` runs the engine in the process of a test, inside a transaction or not."""

import logging
import subprocess
import sys
from typing import ClassVar

import pytest
from django.contrib.auth import get_user_model
from django.db import IntegrityError, connection, connections, transaction
from django.test import TestCase, TransactionTestCase

from django_tasktree import TaskTree, TreeResult, current_node, task_with_callbacks
from django_tasktree.definitions.definition import Definition
from django_tasktree.exceptions import InvalidParameter
from django_tasktree.models import NodeAttempt, NodeRun, TreeRun
from django_tasktree.testing import registered, run_tree
from tests.integration.testing.test_registered import one_word
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
        transaction.on_commit(lambda: events.append(f"{name}, nested") or transaction.on_commit(nested))  # type: ignore[func-returns-value]

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


def tree_of(task, *args, **options):
    """Return a tree of one node, and the node."""
    tree = TaskTree()
    return tree, tree.add_task(task, args, **options)


class Cases:
    """Tests that must pass inside the transaction of a ``TestCase`` and without one."""

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

    def test_params_need_the_name_of_a_definition(self):
        with pytest.raises(TypeError, match="params are those of a definition"):
            run_tree(TaskTree(), {})

    def test_a_failure_is_stored_in_the_row(self):
        tree, node = tree_of(tasks.fail, "no luck")
        result = run_tree(tree)
        assert (result.state, result[node].state) == ("FAILURE", "FAILURE")
        assert result[node].node.error_message == "no luck"

    def test_a_task_that_is_not_registered_fails_its_node(self):
        tree, node = tree_of(echo)
        node.task = "tests.nowhere"
        result = run_tree(tree)
        assert (result.state, result[node].node.error_type) == ("FAILURE", "celery.exceptions.NotRegistered")

    def test_retries_run_without_delay(self):
        tree, node = tree_of(later, 3, 3600)
        row = run_tree(tree)[node].node
        assert (row.state, row.result, row.attempts, row.retries) == ("SUCCESS", "3", 4, 3)
        assert NodeAttempt.objects.filter(node=row).count() == 3

    def test_many_retries_need_no_recursion(self):
        tree, node = tree_of(later, 300)
        assert run_tree(tree)[node].get() == 300

    def test_on_commit_callbacks_of_tasks_run_after_each_node(self):
        tree, node = tree_of(commits, "first")
        second = node.add_task(commits, ["second"])
        result = run_tree(tree)
        of_first = ["first", "first, nested", "first, in a callback"]
        assert (result[node].get(), result[second].get()) == ([], of_first)
        assert events == [*of_first, "second", "second, nested", "second, in a callback"]

    def test_callbacks_of_a_rolled_back_transaction_do_not_run(self):
        tree, node = tree_of(rolls_back)
        assert run_tree(tree)[node].state == "SUCCESS"
        assert events == []

    def test_a_failing_callback_fails_its_node(self):
        tree, node = tree_of(callback_fails, False)
        assert run_tree(tree)[node].node.error_message == "in a callback"

    def test_a_failing_robust_callback_does_not_fail_its_node(self):
        tree, node = tree_of(callback_fails, True)
        assert run_tree(tree)[node].state == "SUCCESS"

    def test_a_failing_statement_affects_only_its_node(self):
        tree, node = tree_of(breaks_its_transaction)
        after = node.add_task(echo, ["after"], run_when="failure")
        result = run_tree(tree)
        assert result[node].node.error_type == f"{IntegrityError.__module__}.IntegrityError"
        assert result[after].get() == "after"

    def test_rows_written_before_a_failure_are_kept(self):
        tree, _ = tree_of(writes_and_fails)
        assert run_tree(tree).state == "FAILURE"
        assert get_user_model().objects.filter(username="written").exists()

    def test_trees_that_tasks_launch_run_to_their_end(self):
        tree, _ = tree_of(launches, 3)
        assert run_tree(tree).state == "SUCCESS"
        states = dict(TreeRun.objects.values_list("name", "state"))
        assert states == {"launches": "SUCCESS", **{f"inner {n}": "SUCCESS" for n in (1, 2, 3)}, "inner 0": "FAILURE"}

    def test_run_tree_inside_a_task(self):
        tree, node = tree_of(runs_a_tree)
        sibling = tree.add_task(commits, ["outer"])
        result = run_tree(tree)
        assert result[node].get() == ["SUCCESS", ["inner", "inner, nested", "inner, in a callback"]]
        assert result[sibling].state == "SUCCESS"

    def test_no_callback_is_left_over(self):
        tree, _ = tree_of(commits, "x")
        before = len(connection.run_on_commit)
        run_tree(tree)
        assert len(connection.run_on_commit) == before

    def test_an_earlier_callback_is_not_run(self):
        if connection.in_atomic_block:
            transaction.on_commit(lambda: events.append("earlier"))
            run_tree(tree_of(commits, "x")[0])
            assert "earlier" not in events
            with self.captureOnCommitCallbacks(execute=True):  # type: ignore[attr-defined]
                pass

    def test_in_an_atomic_block(self):
        with transaction.atomic():
            result = run_tree(tree_of(commits, "x")[0])
            assert result.state == "SUCCESS"
            assert len(events) == 3
        assert len(events) == 3

    def test_a_wide_fan(self):
        tree, node = tree_of(echo)
        for number in range(700):
            node.add_task(echo, [number])
        gather = node.gather(tasks.total, [node.outputs])
        assert run_tree(tree)[gather].get() == sum(range(700))

    def test_a_limit_of_active_nodes(self):
        tree = TaskTree(max_active=2)
        for number in range(5):
            tree.add_task(echo, [number])
        assert run_tree(tree).join() == [0, 1, 2, 3, 4]


class TestInATransaction(Cases, TestCase):  # type: ignore[misc]
    pass


class TestWithoutATransaction(Cases, TransactionTestCase):  # type: ignore[misc]
    pass


class TestInATransactionOfPostgreSQL(Cases, TestCase):
    databases: ClassVar = {"default", "postgresql"} & {*connections}  # type: ignore[misc]

    @pytest.fixture(autouse=True)
    def _route(self):
        from tests import databases, services

        services.need(services.POSTGRESQL)
        with databases.active("postgresql"):
            yield

    test_an_earlier_callback_is_not_run = None  # type: ignore[assignment]
    test_in_an_atomic_block = None  # type: ignore[assignment]
    test_no_callback_is_left_over = None  # type: ignore[assignment]


@pytest.mark.django_db
def test_the_fixture_in_a_transaction(run_tree):
    assert run_tree(tree_of(echo, 1)[0]).join() == [1]


@pytest.mark.django_db(transaction=True)
def test_the_fixture_without_a_transaction(run_tree):
    result = run_tree(tree_of(echo, 1)[0])
    assert isinstance(result, TreeResult)
    assert result.join() == [1]


@pytest.mark.django_db
def test_outside_run_tree_nothing_is_run(run_tree, caplog):
    caplog.set_level(logging.CRITICAL)
    run_tree(tree_of(echo, 1)[0])
    tree, node = tree_of(echo, 2)
    assert tree.apply_async()[node].state == "QUEUED"


@pytest.mark.django_db
def test_run_tree_works_after_an_error(run_tree, monkeypatch):
    def broken(*args, **options):
        raise RuntimeError("the engine broke")

    tree, _ = tree_of(echo)
    with monkeypatch.context() as patch:
        patch.setattr("django_tasktree.dispatch.after_commit.settle", broken)
        with pytest.raises(RuntimeError, match="the engine broke"):
            run_tree(tree)
    assert run_tree(tree_of(echo, 1)[0]).join() == [1]


@pytest.mark.long
@pytest.mark.django_db
def test_a_chain_of_ten_thousand_nodes(run_tree):
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


@pytest.mark.parametrize("given", [None, 5, echo, Definition("one", one_word)], ids=lambda given: type(given).__name__)
def test_what_is_neither_a_tree_nor_a_name_is_refused(given):
    with pytest.raises(TypeError, match=r"run_tree\(\) takes a tree or the name of a definition, not"):
        run_tree(given)


@pytest.mark.parametrize("given", [[1], "word=a", 5], ids=repr)
def test_parameters_that_are_no_dict_are_refused(given):
    with (
        registered(one_word),
        pytest.raises(InvalidParameter, match=r"of definition 'one-word' must be a dict of values by name, not"),
    ):
        run_tree("one-word", given)


def test_a_parameter_whose_name_is_no_text_is_refused():
    with registered(one_word), pytest.raises(InvalidParameter, match="has no parameter 5: it takes word"):
        run_tree("one-word", {5: 5})  # type: ignore[dict-item]
