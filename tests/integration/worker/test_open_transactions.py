"""A transaction that a task function leaves open is rolled back and fails its node, but blocks nothing else."""

from contextlib import contextmanager

import pytest
from celery.signals import task_prerun
from django.db import connections, transaction
from django_celery_results.models import TaskResult

from django_tasktree import TaskTree
from django_tasktree.dispatch import open_transactions
from django_tasktree.exceptions import TransactionLeftOpen
from django_tasktree.signals import node_finished, run_finished, run_started
from django_tasktree.testing import run_tree
from tests import simulation
from tests.databases import active_alias
from tests.sample import leaks
from tests.sample.models import Effect
from tests.sample.tasks import echo

TYPE = "django_tasktree.exceptions.TransactionLeftOpen"
#: Ways that work inside a transaction; there, a database refuses or ignores a BEGIN that bypasses Django.
WITHIN = ["atomic", "nested", "without a savepoint", "aborted"]


@contextmanager
def receiving(signal, receiver):
    """Connect a receiver to a signal."""
    signal.connect(receiver, weak=False)
    try:
        yield
    finally:
        signal.disconnect(receiver)


def leaking(task, way):
    """Return a tree with the task, a child for each outcome and a gather node; and the node of the task."""
    tree = TaskTree()
    node = tree.add_task(task, [] if task is leaks.write else [way])
    node.add_task(leaks.write)
    node.add_task(leaks.write, run_when="failure")
    tree.gather(echo, ["after"], run_when="always")
    return tree, node


def clean():
    """Check that the connection has no open transaction."""
    connection = connections[active_alias()]
    assert (connection.in_atomic_block, connection.get_autocommit(), connection.needs_rollback) == (False, True, False)
    return True


@pytest.fixture
def world(database, app):
    with simulation.simulated(app, "leaks") as world:
        world.start_worker("w")
        yield world


@pytest.mark.parametrize(
    "task", [leaks.leak, leaks.leak_and_stop, leaks.leak_and_retry], ids=lambda task: task.__name__
)
def test_an_open_transaction_is_rolled_back_and_fails_the_node(world, task):
    for way in leaks.WAYS:
        tree, node = leaking(task, way)
        result = tree.apply_async()
        world.deliver_all("w")
        row = result[node].node
        assert (row.state, row.error_type, row.attempts) == ("FAILURE", TYPE, 1), way
        assert repr(active_alias()) in row.error_message
        assert clean(), way
        assert result.state == "FAILURE", way
    assert set(Effect.objects.values_list("note", flat=True)) == {"kept"}
    assert Effect.objects.count() == len(leaks.WAYS)


def test_the_error_of_the_task_function_is_kept(world, caplog):
    for way in leaks.WAYS:
        tree, node = leaking(leaks.leak_and_fail, way)
        result = tree.apply_async()
        caplog.clear()
        world.deliver_all("w")
        row = result[node].node
        assert (row.state, row.error_type, row.error_message) == ("FAILURE", "builtins.ValueError", "its own error")
        assert "left a transaction open" in caplog.text
        assert clean(), way
    assert set(Effect.objects.values_list("note", flat=True)) == {"kept"}


def test_an_open_transaction_within_an_atomic_task(world):
    for way in WITHIN:
        tree, node = leaking(leaks.leak_in_atomic, way)
        result = tree.apply_async()
        world.deliver_all("w")
        row = result[node].node
        assert (row.state, row.attempts) == ("FAILURE", 1), way
        assert row.error_type == TYPE, way
        assert clean(), way
    assert set(Effect.objects.values_list("note", flat=True)) == {"kept"}


def test_a_transaction_of_an_earlier_task_is_rolled_back_first(world, caplog):
    for way in leaks.WAYS:
        tree = TaskTree()
        node = tree.add_task(leaks.write)
        result = tree.apply_async()
        (message,) = world.receive_all()
        leaks.WAYS[way]()
        caplog.clear()
        world.deliver(message, "w")
        assert clean(), way
        assert (result[node].state, result.state) == ("SUCCESS", "SUCCESS"), way
        assert f"before task {leaks.write.name}[" in caplog.text
        assert "left a transaction open on database" in caplog.text
    assert set(Effect.objects.values_list("note", flat=True)) == {"kept"}


def test_a_receiver_of_task_prerun_leaves_a_transaction_open(world, caplog):
    """The receivers of the test run after the app's own."""
    for way in leaks.WAYS:
        tree, node = leaking(leaks.write, way)
        with receiving(task_prerun, lambda way=way, **_: leaks.WAYS[way]()):
            result = tree.apply_async()
            world.deliver_all("w")
        assert result[node].node.attempts == 1, way
        assert (result[node].state, result.state) == ("SUCCESS", "SUCCESS"), way
        assert clean(), way


def test_after_return_leaves_a_transaction_open(world, caplog):
    for way in leaks.WAYS:
        tree, node = leaking(leaks.leak_afterwards, way)
        result = tree.apply_async()
        caplog.clear()
        world.deliver_all("w")
        assert (result[node].state, result[node].node.attempts, result.state) == ("SUCCESS", 1, "SUCCESS"), way
        assert f"what ran after task {leaks.leak_afterwards.name}[" in caplog.text
        assert clean(), way
    assert set(Effect.objects.values_list("note", flat=True)) == {"kept"}


@pytest.mark.parametrize("signal", [node_finished, run_finished, run_started])
def test_a_receiver_of_the_apps_signals_leaves_a_transaction_open(world, caplog, signal):
    for way in leaks.WAYS:
        tree, node = leaking(leaks.write, way)
        with receiving(signal, lambda way=way, **_: leaks.WAYS[way]()):
            result = tree.apply_async()
            world.deliver_all("w")
        assert (result[node].state, result.state) == ("SUCCESS", "SUCCESS"), way
        assert "a receiver of a signal left a transaction open" in caplog.text
        assert clean(), way
    assert set(Effect.objects.values_list("note", flat=True)) == {"kept"}


def test_an_on_commit_callback_leaves_a_transaction_open(world, caplog):
    for way in leaks.WAYS:
        tree, node = leaking(leaks.leak_on_commit, way)
        result = tree.apply_async()
        caplog.clear()
        world.deliver_all("w")
        assert (result[node].state, result[node].node.attempts, result.state) == ("SUCCESS", 1, "SUCCESS"), way
        assert "registered with on_commit left a transaction open" in caplog.text
        assert clean(), way
    assert set(Effect.objects.values_list("note", flat=True)) == {"kept"}


def test_an_error_of_an_on_commit_callback_does_not_fail_a_committed_node(world, caplog):
    tree = TaskTree()
    node = tree.add_task(leaks.fail_on_commit)
    node.add_task(leaks.write)
    result = tree.apply_async()
    world.deliver_all("w")
    assert (result[node].state, result[node].node.attempts, result.state) == ("SUCCESS", 1, "SUCCESS")
    assert "after the commit" in caplog.text
    # The other callbacks have run.
    assert sorted(Effect.objects.values_list("note", flat=True)) == ["kept", "lost"]
    assert TaskResult.objects.get(task_id=str(result[node].node.task_id)).status == "SUCCESS"


@pytest.mark.parametrize(
    "statement", [None, "COMMIT", "/* a comment */ commit", "CREATE TABLE ends_a_transaction (a INT)"]
)
def test_a_transaction_that_has_ended_is_not_reported(world, statement):
    if statement is not None and "TABLE" in statement and connections[active_alias()].vendor != "mysql":
        pytest.skip("only MySQL ends a transaction there")
    tree = TaskTree()
    node = tree.add_task(leaks.begin_and_end, [statement])
    result = tree.apply_async()
    world.deliver_all("w")
    if statement is not None and "TABLE" in statement:
        with connections[active_alias()].cursor() as cursor:
            cursor.execute("DROP TABLE ends_a_transaction")
    assert (result[node].state, result.state) == ("SUCCESS", "SUCCESS")
    assert clean()
    assert set(Effect.objects.values_list("note", flat=True)) == {"kept"}


@pytest.mark.parametrize("way", WITHIN)
def test_the_transaction_of_the_caller_is_kept(database, way):
    """As in a TestCase: only a transaction that the task function began is rolled back."""
    with transaction.atomic(using=database):
        Effect.objects.create(note="the caller's")
        tree, node = leaking(leaks.leak, way)
        result = run_tree(tree)
        assert result[node].node.error_type == TYPE
        assert connections[database].in_atomic_block
        assert sorted(Effect.objects.values_list("note", flat=True)) == ["kept", "the caller's"]
    assert clean()
    assert Effect.objects.count() == 2


def test_a_replaced_connection_keeps_its_wrappers(database):
    """On exit, Django's ``execute_wrapper`` removes the last wrapper without checking which one it is."""

    def wrapper(execute, *statement):
        return execute(*statement)

    connection = connections[database]
    for _ in range(3):
        connection.close()
        before = [each for each in connection.execute_wrappers if each is wrapper]
        connection.execute_wrappers.clear()
        with connection.execute_wrapper(wrapper):
            Effect.objects.count()
            connection.close()
            Effect.objects.count()
        assert before == [each for each in connection.execute_wrappers if each is wrapper] == []
    assert len(connection.execute_wrappers) == (connection.vendor == "mysql")


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("BEGIN", True),
        ("  start\n transaction read only", True),
        ("/* a */ /* b * c\n */ -- d\n # e\n begin", True),
        ("SELECT 1 /* BEGIN */", False),
        ("/* BEGIN */ SELECT 1", False),
        ("beginning", False),
        # Matching must take time linear in the length of the statement.
        ("/* a */" * 5000 + "SELECT 1", False),
        ("/*" * 5000, False),
    ],
)
def test_which_statements_begin_a_transaction(statement, expected):
    assert bool(open_transactions.BEGIN.match(statement)) is expected


def test_the_error_names_the_task_and_the_remedy():
    text = str(TransactionLeftOpen.by("shop.pay", ["default"]))
    assert "'shop.pay'" in text
    assert "'default'" in text
    assert "atomic=True" in text
