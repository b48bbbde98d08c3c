"""Steering against itself and against workers, at the same moment, on real connections in threads."""

import threading

import pytest
from django.db import connections, transaction

from django_tasktree import TaskTree
from django_tasktree.engine import finish as finish_module
from django_tasktree.engine import skip_node as skip_node_module
from django_tasktree.engine.claim import claim
from django_tasktree.engine.finish import finish
from django_tasktree.exceptions import Fenced, NotPossible
from django_tasktree.models import NodeRun
from tests.concurrency.test_siblings import in_threads
from tests.integration.engine.trees import SUCCESS, ref
from tests.integration.steering.play import end, play, queued, states, take
from tests.patience import PATIENCE
from tests.sample.tasks import echo


@pytest.fixture
def servers(database):
    """Databases that let two write at once."""
    if database == "default":
        pytest.skip("SQLite has one writer")
    return database


def _holding(alias, function, entered, leave):
    """Do something in a transaction that is committed only later."""

    def body():
        with transaction.atomic(using=alias):
            outcome = function()
            entered.set()
            assert leave.wait(PATIENCE)
        return outcome

    return body


def _refused(function):
    try:
        function()
    except NotPossible as exc:
        return str(exc)
    return None


def _failed_run():
    tree = TaskTree()
    tree.add_task(echo, ["a"]).add_task(echo, ["a1"])
    result = tree.apply_async()
    play(result.id, a="failure")
    assert result.state == "FAILURE"
    return result


def test_two_retries_at_once_the_first_to_lock_the_run_wins(servers):
    result = _failed_run()
    entered, leave = threading.Event(), threading.Event()

    def second():
        assert entered.wait(PATIENCE)
        threading.Timer(0.2, leave.set).start()
        return _refused(result.retry)

    first, told = in_threads(servers, _holding(servers, result.retry, entered, leave), second)
    assert first.again == 2
    assert "nothing in run" in told
    assert play(result.id) == ["a", "a1"]
    assert NodeRun.objects.get(args='["a"]').attempts == 2


def test_add_task_against_finish_the_child_is_committed_while_finish_waits(servers):
    """finish comes to a node that is being given another child: it must see that one too."""
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
        servers, _holding(servers, lambda: node.add_task(echo, ["new"]), entered, leave), finisher
    )
    assert added.id in released
    assert sorted(queued(result.id)) == ["a1", "new"]


def test_revoke_against_finish_the_revoke_commits_while_finish_runs(servers):
    """What finish queues without having seen the revoke can't be claimed."""
    tree = TaskTree()
    tree.add_task(echo, ["a"]).add_task(echo, ["a1"])
    result = tree.apply_async()
    end_of_a = take(result.id, "a")
    entered, leave = threading.Event(), threading.Event()

    def revoker():
        assert entered.wait(PATIENCE)
        threading.Timer(0.2, leave.set).start()
        return result.revoke()

    in_threads(servers, _holding(servers, lambda: finish(end_of_a, SUCCESS), entered, leave), revoker)
    child = ref(NodeRun.objects.get(args='["a1"]').id)
    assert not claim(child, "w")
    assert result.state == "REVOKED"


def test_skip_against_finish_one_of_them_wins(servers, monkeypatch):
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
        except Fenced:
            return "fenced"
        return "finished"

    def skipper():
        barrier.wait(PATIENCE)
        return _refused(lambda: node.skip("given"))

    worked, refused = in_threads(servers, worker, skipper)
    assert (worked == "finished") == (refused is not None)
    assert node.get(5) == (1 if worked == "finished" else "given")


def test_skip_against_claim_the_skip_has_looked_first(servers, monkeypatch):
    """A worker that comes between the look at the node and its reset waits, and is then too late."""
    tree = TaskTree()
    tree.add_task(echo, ["a"])
    result = tree.apply_async()
    node = result.children[0]
    message = ref(node.id)
    entered, leave = threading.Event(), threading.Event()
    unsettle = skip_node_module.unsettle

    def unsettle_later(*args):
        entered.set()
        assert leave.wait(PATIENCE)
        unsettle(*args)

    monkeypatch.setattr(skip_node_module, "unsettle", unsettle_later)

    def worker():
        assert entered.wait(PATIENCE)
        threading.Timer(0.2, leave.set).start()
        return claim(message, "w")

    claimed, _ = in_threads(servers, worker, lambda: node.skip("given"))
    assert not claimed
    assert node.get(5) == "given"


def test_a_limit_holds_when_two_places_become_free_at_once(servers):
    tree = TaskTree(max_active=2)
    for number in range(6):
        tree.add_task(echo, [f"n{number}"])
    result = tree.apply_async()
    messages = [take(result.id, name) for name in queued(result.id)]
    barrier = threading.Barrier(2)

    def ending(message):
        def body():
            barrier.wait(PATIENCE)
            end(message)

        return body

    in_threads(servers, *[ending(message) for message in messages])
    assert len(queued(result.id)) == 2
    play(result.id)
    assert set(states(result.id).values()) == {"SUCCESS"}


def test_the_statement_that_finishes_a_parent_minds_the_number_of_its_children(servers, monkeypatch):
    """On PostgreSQL the single statement would not see a child that was committed after it began."""
    if servers != "postgresql":
        pytest.skip("only PostgreSQL has the single statement")
    tree = TaskTree()
    tree.add_task(echo, ["a"]).add_task(echo, ["a1"])
    result = tree.apply_async()
    message = take(result.id, "a")
    result.children[0].add_task(echo, ["new"])
    told = []
    single = finish_module.finish_postgresql.finish
    monkeypatch.setattr(finish_module.finish_postgresql, "finish", lambda *args: told.append(single(*args)) or told[-1])
    assert len(list(finish(message, SUCCESS).dispatches)) == 2
    assert told == [None]
    connections[servers].close()
