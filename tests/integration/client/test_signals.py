"""The signals of runs and nodes: sent after commit with the right arguments, without effect of receivers' errors."""

import json
from pathlib import Path

import pytest
from django.conf import settings
from django.db import connections, transaction

from django_tasktree import TaskTree, TreeResult
from django_tasktree.signals import node_finished, run_finished, run_started
from tests.patience import PATIENCE, until
from tests.sample import tasks
from tests.sample.tasks import echo, fail, flaky, ignore, stop

SIGNALS = {"run_started": run_started, "run_finished": run_finished, "node_finished": node_finished}


@pytest.fixture
def received():
    """Yield a list that receives the name and the arguments of each signal."""
    signals = []
    receivers = []
    for name, signal in SIGNALS.items():

        def receiver(signal, sender, name=name, **arguments):
            assert sender is None
            signals.append((name, arguments))

        receivers.append(receiver)
        signal.connect(receiver)
    yield signals
    for signal, receiver in zip(SIGNALS.values(), receivers, strict=True):
        signal.disconnect(receiver)


def started(result):
    """Return the expected entry for the start of a run."""
    return "run_started", {"run_id": result.id}


def finished(result, state):
    """Return the expected entry for the end of a run."""
    return "run_finished", {"run_id": result.id, "state": state}


def ended(result, node, state):
    """Return the expected entry for the end of a node."""
    return "node_finished", {"run_id": result.id, "node_id": result[node].id, "label": None, "state": state}


def test_the_signals_of_a_run_in_order(database, eager, received):
    tree = TaskTree()
    one = tree.add_task(echo)
    two = one.add_task(fail)
    result = tree.apply_async()
    assert received == [
        started(result),
        ended(result, one, "SUCCESS"),
        ended(result, two, "FAILURE"),
        finished(result, "FAILURE"),
    ]


def test_every_outcome_of_a_task_sends_node_finished(database, eager, received):
    tree = TaskTree()
    nodes = {
        tree.add_task(stop): "SUCCESS",
        tree.add_task(ignore): "SKIPPED",
        tree.add_task(flaky, [2]): "SUCCESS",
        tree.add_task(echo, expires=-1): "REVOKED",
        tree.add_task(tasks.unserializable): "FAILURE",
    }
    skipped = next(iter(nodes)).add_task(echo)
    result = tree.apply_async()
    outcomes = [(arguments["node_id"], arguments["state"]) for name, arguments in received if name == "node_finished"]
    assert sorted(outcomes) == sorted((result[node].id, state) for node, state in nodes.items())
    assert result[skipped].state == "SKIPPED"


def test_revoked_nodes_send_no_signal(database, eager, received):
    tree = TaskTree(on_failure="stop")
    broken = tree.add_task(fail)
    broken.add_task(echo, run_when="always")
    result = tree.apply_async()
    assert received == [started(result), ended(result, broken, "FAILURE"), finished(result, "FAILURE")]


def test_an_empty_tree_sends_the_signals_of_its_run(database, eager, received):
    result = TaskTree().apply_async()
    assert received == [started(result), finished(result, "SUCCESS")]


def test_a_key_in_use_sends_no_signal(database, eager, received):
    tree = TaskTree()
    result = tree.apply_async(key="once")
    received.clear()
    assert tree.apply_async(key="once") == result
    assert received == []


def test_nothing_is_sent_before_the_commit(database, eager, received):
    tree = TaskTree()
    node = tree.add_task(echo)
    with transaction.atomic(using=database):
        result = tree.apply_async()
        assert received == []
    assert received == [started(result), ended(result, node, "SUCCESS"), finished(result, "SUCCESS")]


def test_nothing_is_sent_after_a_rollback(database, eager, received):
    tree = TaskTree()
    tree.add_task(echo)
    with transaction.atomic(using=database):
        tree.apply_async()
        transaction.set_rollback(True, using=database)
    assert received == []


def test_receivers_see_the_committed_state(database, eager):
    seen = []

    def look(signal, run_id, state, **_):
        assert not connections[database].in_atomic_block
        seen.append((TreeResult(run_id).state, state))

    run_finished.connect(look)
    try:
        TaskTree().apply_async()
    finally:
        run_finished.disconnect(look)
    assert seen == [("SUCCESS", "SUCCESS")]


def test_a_receiver_that_raises_is_logged_and_harms_nothing(database, eager, received, caplog):
    def broken(signal, **_):
        raise tasks.CustomError("in a receiver")

    for signal in SIGNALS.values():
        signal.connect(broken)
    try:
        tree = TaskTree()
        node = tree.add_task(echo)
        tree.gather(echo)
        result = tree.apply_async()
    finally:
        for signal in SIGNALS.values():
            signal.disconnect(broken)
    assert result.state == "SUCCESS"
    assert ended(result, node, "SUCCESS") in received
    logged = [record for record in caplog.records if record.name == "django.dispatch"]
    assert len(logged) == 4
    assert all("in a receiver" in str(record.exc_info[1]) for record in logged)


@pytest.mark.django_db
def test_run_tree_sends_signals(received, run_tree):
    tree = TaskTree()
    node = tree.add_task(echo)
    result = run_tree(tree)
    assert received == [started(result), ended(result, node, "SUCCESS"), finished(result, "SUCCESS")]


@pytest.fixture
def receivers_file():
    """Yield a function that creates the file to which a worker's receivers (tests.sample.receivers) write signals."""
    paths = []

    def make(run_id):
        path = Path(settings.VAR_DIR) / "signals" / str(run_id)
        path.parent.mkdir(exist_ok=True)
        path.touch()
        paths.append(path)
        return path

    yield make
    for path in paths:
        path.unlink()


@pytest.mark.worker
@pytest.mark.parametrize("stack", ["postgresql-redis"], indirect=True)
def test_the_signals_of_a_worker(stack, received, receivers_file):
    tree = TaskTree()
    one = tree.add_task(echo)
    two = one.add_task(fail)
    skipped = two.add_task(echo)
    with transaction.atomic(using="postgresql"):
        result = tree.apply_async()
        path = receivers_file(result.id)
    assert result.wait(PATIENCE) == "FAILURE"
    # The signal of a run's end is sent a moment after the commit.
    until(lambda: "run_finished" in path.read_text())
    assert [json.loads(line) for line in path.read_text().splitlines()] == [
        ["node_finished", str(result[one].id), "SUCCESS"],
        ["node_finished", str(result[two].id), "FAILURE"],
        ["run_finished", str(result.id), "FAILURE"],
    ]
    assert result[skipped].state == "SKIPPED"
    # The run was launched in this process.
    assert received == [started(result)]
