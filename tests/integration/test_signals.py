"""The signals of runs and nodes: after commit, with the right arguments, and harmless."""

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
def told():
    """What receivers were told: the signal's name and its arguments."""
    heard = []
    receivers = []
    for name, signal in SIGNALS.items():

        def receiver(signal, sender, name=name, **arguments):
            assert sender is None
            heard.append((name, arguments))

        receivers.append(receiver)
        signal.connect(receiver)
    yield heard
    for signal, receiver in zip(SIGNALS.values(), receivers, strict=True):
        signal.disconnect(receiver)


def started(result):
    return "run_started", {"run_id": result.id}


def finished(result, state):
    return "run_finished", {"run_id": result.id, "state": state}


def ended(result, node, state):
    return "node_finished", {"run_id": result.id, "node_id": result[node].id, "state": state}


def test_a_run_from_its_start_to_its_end(database, eager, told):
    tree = TaskTree()
    one = tree.add_task(echo)
    two = one.add_task(fail)
    result = tree.apply_async()
    assert told == [
        started(result),
        ended(result, one, "SUCCESS"),
        ended(result, two, "FAILURE"),
        finished(result, "FAILURE"),
    ]


def test_which_ends_of_nodes_are_told(database, eager, told):
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
    heard = [(arguments["node_id"], arguments["state"]) for name, arguments in told if name == "node_finished"]
    assert sorted(heard) == sorted((result[node].id, state) for node, state in nodes.items())
    assert result[skipped].state == "SKIPPED"


def test_nodes_that_a_failure_revoked_are_not_told_of(database, eager, told):
    tree = TaskTree(on_failure="stop")
    broken = tree.add_task(fail)
    broken.add_task(echo, run_when="always")
    result = tree.apply_async()
    assert told == [started(result), ended(result, broken, "FAILURE"), finished(result, "FAILURE")]


def test_an_empty_tree(database, eager, told):
    result = TaskTree().apply_async()
    assert told == [started(result), finished(result, "SUCCESS")]


def test_a_key_that_exists_starts_nothing(database, eager, told):
    tree = TaskTree()
    result = tree.apply_async(key="once")
    told.clear()
    assert tree.apply_async(key="once") == result
    assert told == []


def test_nothing_is_sent_before_the_commit(database, eager, told):
    tree = TaskTree()
    node = tree.add_task(echo)
    with transaction.atomic(using=database):
        result = tree.apply_async()
        assert told == []
    assert told == [started(result), ended(result, node, "SUCCESS"), finished(result, "SUCCESS")]


def test_nothing_is_sent_after_a_rollback(database, eager, told):
    tree = TaskTree()
    tree.add_task(echo)
    with transaction.atomic(using=database):
        tree.apply_async()
        transaction.set_rollback(True, using=database)
    assert told == []


def test_receivers_see_what_was_committed(database, eager):
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


def test_a_receiver_that_raises_is_logged_and_harms_nothing(database, eager, told, caplog):
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
    assert ended(result, node, "SUCCESS") in told
    logged = [record for record in caplog.records if record.name == "django.dispatch"]
    assert len(logged) == 4
    assert all("in a receiver" in str(record.exc_info[1]) for record in logged)


@pytest.mark.django_db
def test_within_run_tree(told, run_tree):
    tree = TaskTree()
    node = tree.add_task(echo)
    result = run_tree(tree)
    assert told == [started(result), ended(result, node, "SUCCESS"), finished(result, "SUCCESS")]


@pytest.fixture
def told_file():
    """Make the file in which the receivers of a worker (tests.sample.receivers) write what they hear of a run."""
    paths = []

    def make(run_id):
        path = Path(settings.VAR_DIR) / "told" / str(run_id)
        path.parent.mkdir(exist_ok=True)
        path.touch()
        paths.append(path)
        return path

    yield make
    for path in paths:
        path.unlink()


@pytest.mark.worker
@pytest.mark.parametrize("stack", ["postgresql-redis"], indirect=True)
def test_on_a_worker(stack, told, told_file):
    tree = TaskTree()
    one = tree.add_task(echo)
    two = one.add_task(fail)
    skipped = two.add_task(echo)
    with transaction.atomic(using="postgresql"):
        result = tree.apply_async()
        path = told_file(result.id)
    assert result.wait(PATIENCE) == "FAILURE"
    # The end of a run is told a moment after it was written.
    until(lambda: "run_finished" in path.read_text())
    assert [json.loads(line) for line in path.read_text().splitlines()] == [
        ["node_finished", str(result[one].id), "SUCCESS"],
        ["node_finished", str(result[two].id), "FAILURE"],
        ["run_finished", str(result.id), "FAILURE"],
    ]
    assert result[skipped].state == "SKIPPED"
    # It was launched here.
    assert told == [started(result)]
