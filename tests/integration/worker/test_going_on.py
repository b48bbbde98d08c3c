"""A process that has finished a node goes on with the only child that may start: one statement finishes and claims."""

from uuid import UUID

import pytest
from django.db import connections
from django.test.utils import CaptureQueriesContext

from django_tasktree import TaskTree
from django_tasktree.engine.backends import backend
from django_tasktree.models import NodeRun
from django_tasktree.signals import node_finished, run_finished
from django_tasktree.worker import taking
from tests import simulation
from tests.interleaving import before_statement
from tests.sample.tasks import echo, fail

QUEUE = "going-on"
#: Statements for each node of a chain; on PostgreSQL, the same statement writes its TaskResult too.
PER_NODE = {"postgresql": 1, "default": 4, "mariadb": 4}
_CONTROL = ("BEGIN", "COMMIT", "SAVEPOINT", "RELEASE", "START TRANSACTION")


@pytest.fixture
def world(database, app, settings):
    """Yield a simulation with a worker that has one process, and that spends an hour on a message."""
    settings.TASKTREE = {"SHARE_MESSAGE_FOR": 3600}
    with simulation.one_process(app, QUEUE) as world:
        yield world


def chain(length):
    tree = TaskTree()
    for number in range(length):
        tree.push(echo, [number])
    return tree.apply_async()


def statements_of(world, result, alias):
    (message,) = world.receive_all()
    with CaptureQueriesContext(connections[alias]) as context:
        world.deliver(message, "w")
    assert result.state == "SUCCESS"
    return [query["sql"] for query in context.captured_queries if not query["sql"].startswith(_CONTROL)]


def test_a_node_of_a_chain_takes_one_statement(world, database):
    counts = [len(statements_of(world, chain(length), database)) for length in (10, 30)]
    assert (counts[1] - counts[0]) / 20 == PER_NODE[database]


def test_the_claim_is_that_of_a_taken_node(world):
    result = chain(3)
    (message,) = world.receive_all()
    world.deliver(message, "w")
    first, *others = NodeRun.objects.filter(run_id=result.id).order_by("id")
    assert (first.carried_by, len(others)) == (None, 2)
    for node in others:
        assert (node.carried_by, node.worker_id) == (UUID(message.id), world.hosts["w"].id)
        assert (node.attempts, node.worker, node.runnable) == (1, first.worker, False)
        assert node.queued_at <= node.started_at <= node.finished_at


def test_the_end_of_a_run_ends_the_message(world, database):
    """Nothing is looked for in a run that has ended."""
    found = statements_of(world, chain(1), database)
    assert not [sql for sql in found if "SKIP LOCKED" in sql or "ORDER BY limit_scope_id" in sql]


def test_nodes_that_run_again_when_a_run_ends_have_messages(world):
    """A receiver of ``run_finished`` may retry what has failed."""
    tree = TaskTree()
    tree.add_task(fail, ["bad"])
    result = tree.apply_async()
    (message,) = world.receive_all()

    def retry_once(**_):
        run_finished.disconnect(retry_once)
        result.retry()

    run_finished.connect(retry_once)
    world.deliver(message, "w")
    assert world.deliver_all("w") == 1
    assert (result.state, NodeRun.objects.get(run_id=result.id).attempts) == ("FAILURE", 2)


def test_of_several_children_only_the_one_that_fits_counts(world, database):
    tree = TaskTree()
    top = tree.add_task(echo, ["top"])
    top.add_task(echo, ["handler"], run_when="failure")
    top.add_task(echo, ["next"])
    top.gather(echo, ["gather"])
    result = tree.apply_async()
    found = statements_of(world, result, database)
    # The gather node is looked for, as settling its siblings has queued it.
    assert sum("ORDER BY limit_scope_id" in sql for sql in found) == 1
    below = NodeRun.objects.filter(run_id=result.id, parent__isnull=False)
    assert dict(below.values_list("args", "state")) == {
        '["gather"]': "SUCCESS",
        '["handler"]': "SKIPPED",
        '["next"]': "SUCCESS",
    }


def test_a_failed_node_is_followed_by_its_handler(world):
    tree = TaskTree()
    tree.add_task(fail, ["bad"], allow_failure=True).add_task(echo, ["handler"], run_when="failure")
    result = tree.apply_async()
    assert world.deliver_all("w") == 1
    assert result.state == "SUCCESS"


def test_a_child_that_is_paused_meanwhile_does_not_start(world, monkeypatch):
    """Between two statements of the transaction that finishes the parent."""
    monkeypatch.setattr(type(backend()), "finish_parent", lambda *_: None)
    result = chain(2)
    child = NodeRun.objects.filter(run_id=result.id, parent__isnull=False)
    (message,) = world.receive_all()
    with before_statement("UPDATE .* SET state = .* started_at = ", lambda: child.update(hold="paused")):
        world.deliver(message, "w")
    assert child.get().attempts == 0
    result.children[0].children[0].resume()
    world.deliver_all("w")
    assert (result.state, child.get().attempts) == ("SUCCESS", 1)


def test_a_child_that_is_revoked_meanwhile_settles_its_parent(world, monkeypatch):
    """The action can't settle the parent, as it does not see that it has ended."""
    monkeypatch.setattr(type(backend()), "finish_parent", lambda *_: None)
    result = chain(2)
    child = NodeRun.objects.filter(run_id=result.id, parent__isnull=False)
    (message,) = world.receive_all()
    revoked = {"state": "REVOKED", "hold": "revoked", "settled": True, "subtree_failed": True}
    with before_statement("UPDATE .* SET state = .* started_at = ", lambda: child.update(**revoked)):
        world.deliver(message, "w")
    assert (result.state, child.get().attempts) == ("FAILURE", 0)


def test_a_child_of_another_lane_has_its_own_message(world):
    tree = TaskTree()
    tree.add_task(echo, ["a"]).add_task(echo, ["b"], share_message=False).add_task(echo, ["c"])
    result = tree.apply_async()
    assert world.deliver_all("w") == 3
    assert result.state == "SUCCESS"


def test_after_the_time_of_the_message_the_child_has_its_own(world, settings):
    settings.TASKTREE = {"SHARE_MESSAGE_FOR": 1e-9}
    chain(3)
    (message,) = world.receive_all()
    world.deliver(message, "w")
    (message,) = world.receive_all()
    assert message.headers["task"] == echo.name
    assert [node.state for node in NodeRun.objects.order_by("id")] == ["SUCCESS", "QUEUED", "PENDING"]


def test_a_child_that_can_not_run_is_given_back(world, monkeypatch):
    """An exception such as SystemExit ends the message after its node was finished."""
    monkeypatch.setattr(taking._Taking, "run", lambda self, **_: (_ for _ in ()).throw(SystemExit))
    result = chain(2)
    (message,) = world.receive_all()
    with pytest.raises(SystemExit):
        world.deliver(message, "w")
    child = NodeRun.objects.get(run_id=result.id, parent__isnull=False)
    assert (child.state, child.attempts, child.carried_by, child.worker_id) == ("QUEUED", 0, None, None)
    monkeypatch.undo()
    assert world.deliver_all("w") == 1
    assert result.state == "SUCCESS"


def test_children_have_a_message_if_the_process_ends_after_their_parent(world):
    tree = TaskTree()
    top = tree.add_task(echo, ["top"])
    for number in range(3):
        top.add_task(echo, [number])
    result = tree.apply_async()
    (message,) = world.receive_all()

    def leave(**_):
        node_finished.disconnect(leave)
        raise SystemExit

    node_finished.connect(leave)
    with pytest.raises(SystemExit):
        world.deliver(message, "w")
    assert world.deliver_all("w") == 1
    assert result.state == "SUCCESS"
