"""An action on many nodes is carried out in batches, with the same result as in one transaction."""

import random
from contextlib import contextmanager
from unittest import mock

import pytest
from django.db import connections, transaction
from django.test.utils import CaptureQueriesContext

from django_tasktree import NodeResult, TaskTree
from django_tasktree.control import changes, operations
from django_tasktree.dispatch.after_commit import advance_and_settle_now
from django_tasktree.engine.control.change import Change
from django_tasktree.engine.history import open_entries
from django_tasktree.models import HistoryEntry, NodeRun
from django_tasktree.signals import run_finished
from django_tasktree.states import CLAIMABLE
from tests.integration.control.changes import (
    fail_children,
    failed_fan,
    fan,
    finish_with_added_nodes,
    in_one_transaction,
    scenes,
    snapshot,
)
from tests.integration.control.play import play
from tests.integration.control.test_previews import outcome_of, random_bushy_run, random_run, random_step, work
from tests.sample.tasks import echo


def with_one_waiting_state(effect, found):
    """Return the outcome of a refused action, with one state for all nodes that wait to start."""
    run, nodes, history = found
    waits = [row[1] in CLAIMABLE or row[2] for row in nodes]
    return effect, (
        run,
        [(row[0], "waits", *row[3:]) if w else row for row, w in zip(nodes, waits, strict=True)],
        history,
    )


#: Actions that are carried out in batches.
RUN_ACTIONS, NODE_ACTIONS = ["revoke", "retry"], ["pause", "resume", "revoke", "retry", "rerun"]


@pytest.mark.exhaustive
@pytest.mark.parametrize("seed", range(6))
def test_batches_have_the_same_result_as_one_transaction(database, small_batches, seed, monkeypatch):
    rng = random.Random(seed)
    done, batches = 0, []
    monkeypatch.setattr(Change, "step", lambda self, act, take=Change.step: batches.append(1) or take(self, act))  # type: ignore[func-returns-value]
    for number in range(4):
        result = random_run(rng) if number % 2 else random_bushy_run(rng)
        for _ in range(6):
            work(result, rng, rng.randint(1, 12))
            for _ in range(rng.randint(1, 6)):
                random_step(result, rng)
            ids = list(NodeRun.objects.filter(run_id=result.id).order_by("id").values_list("id", flat=True))
            handle = rng.choice([result, *map(NodeResult, rng.sample(ids, min(2, len(ids))))])
            action = rng.choice(RUN_ACTIONS if handle is result else NODE_ACTIONS)
            with (
                mock.patch.multiple(changes, advance_and_settle_after_commit=mock.DEFAULT),
                mock.patch.object(operations, "advance_and_settle_after_commit"),
            ):
                expected = in_one_transaction(database, getattr(handle, action), result.id)
                found = outcome_of(getattr(handle, action)), snapshot(result.id)
            if isinstance(expected[0], tuple):
                # Nodes may wait in different states: a queued one has a message that is out of date.
                expected, found = with_one_waiting_state(*expected), with_one_waiting_state(*found)
            assert found == expected, (action, handle)
            advance_and_settle_now(result.id)
            done += not isinstance(expected[0], tuple)
    assert done > 5
    assert len(batches) > 30
    assert not open_entries().exists()


def test_a_rerun_removes_many_nodes_added_at_runtime_in_few_queries(database, settings):
    settings.TASKTREE = {"BATCH_SIZE": 50}
    tree = TaskTree("added_at_runtime")
    top = tree.add_task(echo, ["top"])
    for number in range(200):
        top.add_task(echo, [f"n{number}"])
    result = tree.apply_async()
    play(result.id)
    NodeRun.objects.filter(run_id=result.id, parent__isnull=False).update(added_at_runtime=True)
    with CaptureQueriesContext(connections[database]) as queries:
        assert result.children[0].rerun().removed == 200
    assert len(queries) < 200
    assert NodeRun.objects.get(run_id=result.id).child_count == 0


def test_a_run_that_is_revoked_in_batches_ends_once(database, small_batches):
    """The signal is sent after all nodes have ended."""
    result = fan()
    received = []

    def receiver(state, run_id, **_):
        waiting = NodeRun.objects.filter(run_id=run_id, state__in=["PENDING", "QUEUED", "RETRY"])
        received.append((str(state), waiting.count()))

    run_finished.connect(receiver)
    try:
        effect = result.revoke()
    finally:
        run_finished.disconnect(receiver)
    assert received == [("REVOKED", 0)]
    assert effect.revoked == 22
    assert HistoryEntry.objects.get(run_id=result.id, action="revoke").nodes == 22


def test_within_a_transaction_of_the_caller_nothing_is_committed(database, small_batches):
    result = failed_fan()
    before = snapshot(result.id)
    with transaction.atomic(using=database):
        result.retry()
        assert not open_entries().exists()
        transaction.set_rollback(True, using=database)
    assert snapshot(result.id) == before


@scenes
def test_no_transaction_writes_more_than_a_batch(database, settings, act, prepare):
    settings.TASKTREE = {"BATCH_SIZE": 10}
    tree = TaskTree("wide")
    top = tree.add_task(echo, ["top"])
    for number in range(100):
        node = top.add_task(echo, [f"n{number}"])
        node.add_task(echo, [f"below{number}"])
    top.gather(echo, ["gather below"])
    result = tree.apply_async()
    outcomes = {f"n{number}": "failure" for number in range(100)} if prepare is fail_children else {}
    if prepare in (fail_children, finish_with_added_nodes):
        play(result.id, **outcomes)
    else:
        prepare(result)
    if prepare is finish_with_added_nodes:
        NodeRun.objects.filter(run_id=result.id, parent__parent__isnull=False).update(added_at_runtime=True)
    with count_writes(database) as numbers:
        act(result)
    assert len(numbers) > 10
    # A node may be written several times per batch: locked, reset, made runnable; so may the nodes above it.
    assert max(numbers) <= 50, numbers


@contextmanager
def count_writes(alias):
    """Count the written rows of each transaction within the block: yield a list that receives the numbers."""
    connection = connections[alias]
    numbers, now = [], [0]

    def count(execute, sql, params, many, context):
        found = execute(sql, params, many, context)
        if sql.lstrip().upper().startswith(("INSERT", "UPDATE", "DELETE")):
            now[0] += max(context["cursor"].rowcount, 0)
        if not connection.in_atomic_block:
            close()
        return found

    def close():
        if now[0]:
            numbers.append(now[0])
        now[0] = 0

    commit = connection.commit

    def committing():
        commit()
        close()

    with connection.execute_wrapper(count), mock.patch.object(connection, "commit", committing):
        yield numbers
