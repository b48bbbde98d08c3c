"""Races with a named winner and loser, on real connections in threads."""

import threading

import pytest
from django.db import connections

from django_tasktree import TaskTree
from django_tasktree.engine import settle as settle_module
from django_tasktree.engine.claim import claim
from django_tasktree.engine.finish import finish
from django_tasktree.engine.settle import settle
from django_tasktree.models import NodeRun, TreeRun
from django_tasktree.states import NodeState
from tests.integration.engine.trees import SUCCESS, persist, ref, tree_of
from tests.patience import PATIENCE
from tests.sample.tasks import echo


def in_threads(alias, *functions):
    """Run functions at once, each on its own connection; gives their results in order."""
    results = [None] * len(functions)
    errors = []

    def body(index, function):
        try:
            results[index] = function()
        except BaseException as exc:
            errors.append(exc)
        finally:
            connections[alias].close()

    threads = [threading.Thread(target=body, args=(index, function)) for index, function in enumerate(functions)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not errors, errors
    return results


def finish_and_settle(message):
    assert list(finish(message, SUCCESS).dispatches) == []
    return settle(message.run_id, message.parent_id)


@pytest.mark.parametrize("gathers", [False, True])
def test_two_last_siblings_finish_at_once(database, gathers):
    """Both are written before either looks up: exactly one ends the run, or queues the gather node."""
    tree = tree_of([], [])
    if gathers:
        tree.gather(echo)
    launched, _ = persist(tree)
    messages = [ref(dispatch.id) for dispatch in launched.dispatches]
    for message in messages:
        assert claim(message, "w")
    barrier = threading.Barrier(2)

    def sibling(message):
        def body():
            list(finish(message, SUCCESS).dispatches)
            barrier.wait(PATIENCE)
            return settle(message.run_id, message.parent_id)

        return body

    outcomes = in_threads(database, *[sibling(message) for message in messages])
    if gathers:
        gather = NodeRun.objects.get(is_gather=True)
        assert gather.state == NodeState.QUEUED
        # Whoever queued it publishes it; where both saw it waiting, the UPDATE's row count named one winner.
        assert sorted(len(outcome.dispatches) for outcome in outcomes) == [0, 1]
    else:
        assert sorted(outcome.ended or "" for outcome in outcomes) == ["", "SUCCESS"]
        assert TreeRun.objects.get().state == "SUCCESS"


def test_the_first_of_two_siblings_leaves_the_end_to_the_last(database):
    launched, _ = persist(tree_of([], []))
    first, last = (ref(dispatch.id) for dispatch in launched.dispatches)
    for message in (first, last):
        claim(message, "w")
    assert finish_and_settle(first).ended is None
    assert finish_and_settle(last).ended == "SUCCESS"


def test_the_settler_that_marks_last_loses(database, monkeypatch):
    """Two settlers see the same parent unsettled; the one that marks second stops, and nothing happens twice."""
    launched, _ = persist(tree_of([[]]))
    root = ref(launched.dispatches[0].id)
    claim(root, "w")
    (child,) = finish(root, SUCCESS).dispatches
    child = ref(child.id)
    claim(child, "w")
    list(finish(child, SUCCESS).dispatches)
    looked = threading.Barrier(2)
    real_look = settle_module._look

    def look_then_wait(*args):
        seen = real_look(*args)
        looked.wait(PATIENCE)
        return seen

    monkeypatch.setattr(settle_module, "_look", look_then_wait)
    outcomes = in_threads(database, *[lambda: settle(root.run_id, root.id)] * 2)
    assert sorted(outcome.ended or "" for outcome in outcomes) == ["", "SUCCESS"]


def test_two_workers_claim_one_node(database):
    launched, _ = persist(tree_of([]))
    message = ref(launched.dispatches[0].id)
    barrier = threading.Barrier(2)

    def claimer(worker):
        def body():
            barrier.wait(PATIENCE)
            return claim(message, worker)

        return body

    won = in_threads(database, claimer("w1"), claimer("w2"))
    assert sorted(won) == [False, True]
    row = NodeRun.objects.get(id=message.id)
    assert (row.attempts, row.worker) == (1, "w1" if won[0] else "w2")


def test_two_launches_with_one_key_at_once(database):
    barrier = threading.Barrier(2)

    def launch():
        barrier.wait(PATIENCE)
        return persist(tree_of([], []), key="nightly")[0]

    launched = in_threads(database, launch, launch)
    assert launched[0].run_id == launched[1].run_id
    assert sorted(one.created for one in launched) == [False, True]
    assert TreeRun.objects.count() == 1
    assert NodeRun.objects.count() == 2


def test_a_launch_waits_for_a_commit_with_the_same_key(database):
    """The first launch is still in its transaction; the second must not give a run that may yet be rolled back."""
    from django.db import transaction

    inserted, go_on = threading.Event(), threading.Event()

    def winner():
        with transaction.atomic(using=database):
            launched = persist(tree_of([]), key="k")[0]
            inserted.set()
            # On a database that locks (all three do) the other launch is waiting now, or about to.
            go_on.wait(0.5)
        return launched

    def loser():
        assert inserted.wait(PATIENCE)
        launched = persist(tree_of([]), key="k")[0]
        go_on.set()
        return launched

    won, lost = in_threads(database, winner, loser)
    assert won.created
    assert not lost.created
    assert won.run_id == lost.run_id


def test_many_leaves_finish_at_once(database):
    """Eight threads finish forty leaves under one gather; it is queued once."""
    tree = TaskTree()
    for _ in range(40):
        tree.add_task(echo)
    tree.gather(echo)
    launched, _ = persist(tree)
    messages = [ref(dispatch.id) for dispatch in launched.dispatches]
    shares = [messages[index::8] for index in range(8)]

    def finisher(share):
        def body():
            queued = 0
            for message in share:
                assert claim(message, "w")
                queued += len(finish_and_settle(message).dispatches)
            return queued

        return body

    assert sum(in_threads(database, *[finisher(share) for share in shares])) == 1
    assert NodeRun.objects.get(is_gather=True).state == NodeState.QUEUED
