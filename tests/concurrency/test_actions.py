"""Actions that run concurrently with each other and with workers, on real connections in threads."""

import threading

import pytest
from django.db import connections, transaction

from django_tasktree import TaskTree
from django_tasktree.engine.backends.postgresql import PostgreSQL
from django_tasktree.engine.control import complete as complete_module
from django_tasktree.engine.lifecycle.claim import claim
from django_tasktree.engine.lifecycle.finish import finish
from django_tasktree.exceptions import NotPossible, StaleAttempt
from django_tasktree.models import NodeRun
from tests.concurrency.test_siblings import in_threads
from tests.integration.control.play import end, play, queued, states, take
from tests.integration.engine.trees import SUCCESS, ref
from tests.patience import PATIENCE
from tests.sample.tasks import echo


@pytest.fixture
def servers(database):
    """Return the alias of a database that allows concurrent writers."""
    if database == "default":
        pytest.skip("SQLite has one writer")
    return database


def _hold_open(alias, function, entered, leave):
    """Return a function that calls another one in a transaction, and commits it only when ``leave`` is set."""

    def run():
        with transaction.atomic(using=alias):
            outcome = function()
            entered.set()
            assert leave.wait(PATIENCE)
        return outcome

    return run


def _refusal_of(function):
    """Return the text of a refusal, or None if the function succeeds."""
    try:
        function()
    except NotPossible as exc:
        return str(exc)
    return None


def _failed_run():
    """Return a run whose root node has failed."""
    tree = TaskTree()
    tree.add_task(echo, ["a"]).add_task(echo, ["a1"])
    result = tree.apply_async()
    play(result.id, a="failure")
    assert result.state == "FAILURE"
    return result


def test_the_first_of_two_concurrent_retries_to_lock_the_run_wins(servers):
    result = _failed_run()
    entered, leave = threading.Event(), threading.Event()

    def second():
        assert entered.wait(PATIENCE)
        threading.Timer(0.2, leave.set).start()
        return _refusal_of(result.retry)

    first, refusal = in_threads(servers, _hold_open(servers, result.retry, entered, leave), second)
    assert first.again == 2
    assert "nothing in run" in refusal
    assert play(result.id) == ["a", "a1"]
    assert NodeRun.objects.get(args='["a"]').attempts == 2


def test_finish_queues_a_child_that_is_committed_while_it_waits(servers):
    """Another child is added to the node that finish waits for: finish must see it."""
    tree = TaskTree()
    tree.add_task(echo, ["a"]).add_task(echo, ["a1"])
    result = tree.apply_async()
    message = take(result.id, "a")
    entered, leave = threading.Event(), threading.Event()
    node = result.children[0]

    def finisher():
        assert entered.wait(PATIENCE)
        threading.Timer(0.2, leave.set).start()
        return [dispatch.id for dispatch in finish(message, SUCCESS).dispatches]

    added, released = in_threads(
        servers, _hold_open(servers, lambda: node.add_task(echo, ["new"]), entered, leave), finisher
    )
    assert added.id in released
    assert sorted(queued(result.id)) == ["a1", "new"]


def test_a_child_that_finish_queues_during_a_revoke_cannot_be_claimed(servers):
    """finish has not seen the revoke, which is committed after it."""
    tree = TaskTree()
    tree.add_task(echo, ["a"]).add_task(echo, ["a1"])
    result = tree.apply_async()
    end_of_a = take(result.id, "a")
    entered, leave = threading.Event(), threading.Event()

    def revoker():
        assert entered.wait(PATIENCE)
        threading.Timer(0.2, leave.set).start()
        return result.revoke()

    in_threads(servers, _hold_open(servers, lambda: finish(end_of_a, SUCCESS), entered, leave), revoker)
    child = ref(NodeRun.objects.get(args='["a1"]').id)
    assert not claim(child, "w")
    assert result.state == "REVOKED"


def test_either_complete_or_the_worker_wins(servers, monkeypatch):
    tree = TaskTree()
    tree.add_task(echo, ["a"])
    result = tree.apply_async()
    node = result.children[0]
    message = ref(node.id)
    barrier = threading.Barrier(2)

    def worker():
        barrier.wait(PATIENCE)
        if not claim(message, "w"):
            return "too late"
        try:
            finish(message, SUCCESS)
        except StaleAttempt:
            return "fenced"
        return "finished"

    def completer():
        barrier.wait(PATIENCE)
        return _refusal_of(lambda: node.complete("given"))

    worked, refused = in_threads(servers, worker, completer)
    assert (worked == "finished") == (refused is not None)
    assert node.get(5) == (1 if worked == "finished" else "given")


def test_a_claim_during_complete_waits_and_is_refused(servers, monkeypatch):
    """The claim begins after complete has looked at the node, and before complete resets it."""
    tree = TaskTree()
    tree.add_task(echo, ["a"])
    result = tree.apply_async()
    node = result.children[0]
    message = ref(node.id)
    entered, leave = threading.Event(), threading.Event()
    unsettle = complete_module.unsettle  # type: ignore[attr-defined]

    def unsettle_later(*args):
        entered.set()
        assert leave.wait(PATIENCE)
        unsettle(*args)

    monkeypatch.setattr(complete_module, "unsettle", unsettle_later)

    def worker():
        assert entered.wait(PATIENCE)
        threading.Timer(0.2, leave.set).start()
        return claim(message, "w")

    claimed, _ = in_threads(servers, worker, lambda: node.complete("given"))
    assert not claimed
    assert node.get(5) == "given"


def test_a_limit_is_respected_when_two_places_become_free_at_once(servers):
    tree = TaskTree(max_active=2)
    for number in range(6):
        tree.add_task(echo, [f"n{number}"])
    result = tree.apply_async()
    messages = [take(result.id, name) for name in queued(result.id)]
    barrier = threading.Barrier(2)

    def ending(message):
        def run():
            barrier.wait(PATIENCE)
            end(message)

        return run

    in_threads(servers, *[ending(message) for message in messages])
    assert len(queued(result.id)) == 2
    play(result.id)
    assert set(states(result.id).values()) == {"SUCCESS"}


def test_the_single_statement_that_finishes_a_parent_checks_the_number_of_children(servers, monkeypatch):
    """On PostgreSQL, the statement would not see a child that was committed after it began."""
    if servers != "postgresql":
        pytest.skip("only PostgreSQL has the single statement")
    tree = TaskTree()
    tree.add_task(echo, ["a"]).add_task(echo, ["a1"])
    result = tree.apply_async()
    message = take(result.id, "a")
    result.children[0].add_task(echo, ["new"])
    results = []
    single = PostgreSQL.finish_parent
    monkeypatch.setattr(PostgreSQL, "finish_parent", lambda *args: results.append(single(*args)) or results[-1])  # type: ignore[func-returns-value]
    assert len(list(finish(message, SUCCESS).dispatches)) == 2
    assert results == [None]
    connections[servers].close()
