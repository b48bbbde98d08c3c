"""Races between siblings, workers and launches, on real connections in threads."""

import threading

import pytest
from django.db import connections

from django_tasktree import TaskTree
from django_tasktree.engine.backends.base import Backend
from django_tasktree.engine.lifecycle.claim import claim
from django_tasktree.engine.lifecycle.finish import finish
from django_tasktree.engine.lifecycle.settle import settle
from django_tasktree.models import NodeRun, TreeRun
from django_tasktree.states import NodeState
from tests.integration.engine.trees import SUCCESS, insert_run, ref, tree_of
from tests.patience import PATIENCE
from tests.sample.tasks import echo


def in_threads(alias, *functions):
    """Run functions concurrently, each on its own connection, and return their results in order."""
    results = [None] * len(functions)
    errors = []

    def run(index, function):
        try:
            results[index] = function()
        except BaseException as exc:
            errors.append(exc)
        finally:
            connections[alias].close()

    threads = [threading.Thread(target=run, args=(index, function)) for index, function in enumerate(functions)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not errors, errors
    return results


def finish_and_settle(message):
    """Finish a leaf and settle its parent."""
    assert list(finish(message, SUCCESS).dispatches) == []
    return settle(message.run_id, message.parent_id)


@pytest.mark.parametrize("gathers", [False, True])
def test_the_last_two_siblings_finish_concurrently(database, gathers):
    """Both are finished before either settles: exactly one of them ends the run, or queues the gather node."""
    tree = tree_of([], [])
    if gathers:
        tree.gather(echo)
    launched, _ = insert_run(tree)
    messages = [ref(dispatch.id) for dispatch in launched.dispatches]
    for message in messages:
        assert claim(message, "w")
    barrier = threading.Barrier(2)

    def sibling(message):
        def run():
            list(finish(message, SUCCESS).dispatches)
            barrier.wait(PATIENCE)
            return settle(message.run_id, message.parent_id)

        return run

    outcomes = in_threads(database, *[sibling(message) for message in messages])
    if gathers:
        gather = NodeRun.objects.get(is_gather=True)
        assert gather.state == NodeState.QUEUED
        # The one that queued it publishes it; if both saw it pending, the row count of the UPDATE decided.
        assert sorted(len(outcome.dispatches) for outcome in outcomes) == [0, 1]
    else:
        assert sorted(outcome.ended or "" for outcome in outcomes) == ["", "SUCCESS"]
        assert TreeRun.objects.get().state == "SUCCESS"


def test_the_last_of_two_siblings_ends_the_run(database):
    launched, _ = insert_run(tree_of([], []))
    first, last = (ref(dispatch.id) for dispatch in launched.dispatches)
    for message in (first, last):
        claim(message, "w")
    assert finish_and_settle(first).ended is None
    assert finish_and_settle(last).ended == "SUCCESS"


def test_the_second_of_two_concurrent_settles_has_no_effect(database, monkeypatch):
    """Both see the parent unsettled; the one that marks it second stops."""
    launched, _ = insert_run(tree_of([[]]))
    root = ref(launched.dispatches[0].id)
    claim(root, "w")
    (child,) = finish(root, SUCCESS).dispatches
    child = ref(child.id)
    claim(child, "w")
    list(finish(child, SUCCESS).dispatches)
    looked = threading.Barrier(2)
    original = Backend.look_at_node

    def look_then_wait(*args):
        found = original(*args)
        looked.wait(PATIENCE)
        return found

    monkeypatch.setattr(Backend, "look_at_node", look_then_wait)
    outcomes = in_threads(database, *[lambda: settle(root.run_id, root.id)] * 2)
    assert sorted(outcome.ended or "" for outcome in outcomes) == ["", "SUCCESS"]


def test_one_of_two_workers_claims_a_node(database):
    launched, _ = insert_run(tree_of([]))
    message = ref(launched.dispatches[0].id)
    barrier = threading.Barrier(2)

    def claimer(worker):
        def run():
            barrier.wait(PATIENCE)
            return claim(message, worker)

        return run

    won = in_threads(database, claimer("w1"), claimer("w2"))
    assert sorted(won) == [False, True]
    row = NodeRun.objects.get(id=message.id)
    assert (row.attempts, row.worker) == (1, "w1" if won[0] else "w2")


def test_two_concurrent_launches_with_the_same_key_are_one_run(database):
    barrier = threading.Barrier(2)

    def launch():
        barrier.wait(PATIENCE)
        return insert_run(tree_of([], []), key="nightly")[0]

    launched = in_threads(database, launch, launch)
    assert launched[0].run_id == launched[1].run_id
    assert sorted(one.created for one in launched) == [False, True]
    assert TreeRun.objects.count() == 1
    assert NodeRun.objects.count() == 2


def test_a_launch_waits_for_the_commit_of_a_launch_with_the_same_key(database):
    """The first launch is not committed; the second must not return a run that may be rolled back."""
    from django.db import transaction

    inserted, proceed = threading.Event(), threading.Event()

    def winner():
        with transaction.atomic(using=database):
            launched = insert_run(tree_of([]), key="k")[0]
            inserted.set()
            # All databases lock: the other launch waits now, or will soon.
            proceed.wait(0.5)
        return launched

    def loser():
        assert inserted.wait(PATIENCE)
        launched = insert_run(tree_of([]), key="k")[0]
        proceed.set()
        return launched

    won, lost = in_threads(database, winner, loser)
    assert won.created
    assert not lost.created
    assert won.run_id == lost.run_id


def test_many_leaves_finish_concurrently(database):
    """Eight threads finish forty leaves; the gather node that waits for them is queued once."""
    tree = TaskTree()
    for _ in range(40):
        tree.add_task(echo)
    tree.gather(echo)
    launched, _ = insert_run(tree)
    messages = [ref(dispatch.id) for dispatch in launched.dispatches]
    shares = [messages[index::8] for index in range(8)]

    def finisher(share):
        def run():
            queued = 0
            for message in share:
                assert claim(message, "w")
                queued += len(finish_and_settle(message).dispatches)
            return queued

        return run

    assert sum(in_threads(database, *[finisher(share) for share in shares])) == 1
    assert NodeRun.objects.get(is_gather=True).state == NodeState.QUEUED
