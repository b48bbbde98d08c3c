"""Answers, events and timeouts of wait nodes that come at the same time, on real connections in threads."""

import threading
from datetime import timedelta
from functools import partial

import pytest
from django.db import transaction

from django_tasktree import TaskTree
from django_tasktree.control.waits import end_wait
from django_tasktree.encoding import times
from django_tasktree.engine.lifecycle.claim import claim
from django_tasktree.exceptions import NotPossible
from django_tasktree.models import NodeRun, RunEvent
from django_tasktree.states import NodeState
from tests.concurrency.test_siblings import in_threads
from tests.integration.control.play import end
from tests.integration.engine.trees import ref
from tests.patience import PATIENCE
from tests.sample.tasks import echo


@pytest.fixture
def servers(database):
    """Return the alias of a database that allows concurrent writers."""
    if database == "default":
        pytest.skip("SQLite has one writer")
    return database


def launch(number=1, **options):
    tree = TaskTree()
    for position in range(number):
        tree.wait_for("go", label=str(position), **options).add_task(echo, ["after"])
    return tree.apply_async()


def together(*functions):
    """Return functions that begin at the same time."""
    barrier = threading.Barrier(len(functions), timeout=PATIENCE)

    def at_the_barrier(function):
        def begin():
            barrier.wait()
            try:
                return function()
            except NotPossible as exc:
                return exc

        return begin

    return [at_the_barrier(function) for function in functions]


def test_one_of_a_time_out_a_completion_and_an_event_ends_the_node(servers):
    for _ in range(10):
        # A skipped node can't be completed, unlike one that has failed.
        run = launch(timeout=timedelta(hours=1), on_timeout="skip")
        row = run["0"].node
        NodeRun.objects.filter(id=row.id).update(eta=times.after(times.now(), -1))
        found = in_threads(
            servers,
            *together(
                lambda row=row: end_wait(row.id, row.task_id),
                lambda run=run: run["0"].complete("completed"),
                lambda run=run: run.send_event("go", "sent"),
            ),
        )
        row.refresh_from_db()
        is_taken = RunEvent.objects.filter(run_id=run.id, taken_at__isnull=False).exists()
        is_completed = not isinstance(found[1], NotPossible)
        assert [found[0], is_completed, is_taken].count(True) == 1
        assert row.attempts == 1
        assert row.state == (NodeState.SKIPPED if found[0] else NodeState.SUCCESS)


def test_each_event_ends_one_node(servers):
    for _ in range(5):
        run = launch(3)
        sends = [partial(run.send_event, "go", number) for number in range(3)]
        in_threads(servers, *together(*sends))
        assert sorted(run[str(position)].get() for position in range(3)) == [0, 1, 2]
        assert RunEvent.objects.filter(run_id=run.id, taken_at=None).count() == 0


def test_an_event_that_comes_while_its_node_begins_to_wait(servers):
    """Neither transaction sees what the other one has written, but one of the steps after them does."""
    tree = TaskTree()
    tree.add_task(echo, ["a"], label="a").wait_for("go")
    for _ in range(5):
        run = tree.apply_async()
        message = ref(run["a"].id)
        claim(message, "w")
        in_threads(servers, *together(lambda message=message: end(message), lambda run=run: run.send_event("go", 1)))
        assert run["a/go"].get() == 1


def test_an_event_in_an_open_transaction_ends_the_node_after_the_commit(servers):
    tree = TaskTree()
    tree.add_task(echo, ["a"], label="a").wait_for("go")
    run = tree.apply_async()
    message = ref(run["a"].id)
    claim(message, "w")
    sent, ended = threading.Event(), threading.Event()

    def send():
        with transaction.atomic(using=servers):
            run.send_event("go", 1)
            sent.set()
            assert ended.wait(PATIENCE)

    def finish():
        assert sent.wait(PATIENCE)
        end(message)
        assert run["a/go"].state == "WAITING"
        ended.set()

    in_threads(servers, send, finish)
    assert run["a/go"].get() == 1
