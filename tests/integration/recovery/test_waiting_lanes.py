"""Queued nodes that share messages, while no message on its way reaches an idle process."""

from dataclasses import replace

import pytest

from django_tasktree import TaskTree
from django_tasktree.conf import settings as app_settings
from django_tasktree.dispatch.capacities import forget_workers
from django_tasktree.engine.heartbeats import beat
from django_tasktree.models import NodeRun
from django_tasktree.recovery.sweep import sweep
from tests.integration.recovery.scenes import age, launched, started
from tests.sample.tasks import echo

QUEUE = "test_waiting_lanes"


pytestmark = pytest.mark.usefixtures("sharing")


@pytest.fixture
def world(database, world):
    """Let the worker consume the queue with one process."""
    set_worker(world, "w", 1)
    yield world
    forget_workers()


def set_worker(world, name, concurrency, holds=()):
    """Let a worker have a heartbeat with a number of processes and with the nodes whose messages it holds."""
    ids = [str(node.task_id) for node in holds]
    beat(lambda: replace(world.hosts[name], queues=[QUEUE], concurrency=concurrency, holds=ids))
    forget_workers()


@pytest.fixture
def long_one(world):
    """Return the nodes of a run of which one has been running for long; all messages have left the queue."""
    nodes = launched(*map(str, range(40)))
    world.receive_all()
    started(world, nodes[0])
    for node in nodes:
        age(node, 10 * app_settings.resend_after)
    return nodes


def test_idle_processes_of_new_workers_get_messages_during_long_task_functions(world, long_one):
    """The other worker has fetched all messages in advance."""
    set_worker(world, "w", 1, long_one[:5])
    world.start_worker("new")
    set_worker(world, "new", 2)
    assert sweep(world.app).resent == 2
    assert len(world.receive_all()) == 2


def test_idle_processes_beside_a_long_task_function_get_messages(world, long_one):
    """The other messages of the lane are lost."""
    set_worker(world, "w", 3, long_one[:1])
    assert sweep(world.app).resent == 2


def test_processes_that_have_messages_get_no_more(world, long_one):
    set_worker(world, "w", 3, long_one[:5])
    assert sweep(world.app).resent == 0


def test_processes_that_run_other_nodes_get_no_more(world, long_one):
    elsewhere = launched("a", "b")
    set_worker(world, "w", 3, [long_one[0], *elsewhere])
    assert sweep(world.app).resent == 0


# After a pause


def use_messages_up(world, result):
    """Let messages arrive whose nodes have been taken before."""
    messages = world.receive_all()
    taken = [message.headers["tasktree"]["node"] for message in messages]
    NodeRun.objects.filter(id__in=taken).update(state="SUCCESS", settled=True, result="1")
    for message in messages:
        world.deliver(message, "w")
    assert world.receive_all() == []


@pytest.fixture
def tree(settings):
    settings.TASKTREE = {"SHARE_MESSAGE_FOR": 3600}
    tree = TaskTree()
    top = tree.add_task(echo, ["top"])
    for number in range(12):
        top.add_task(echo, [number])
    return tree


@pytest.mark.parametrize("of_node", [False, True])
@pytest.mark.parametrize("batch_size", [500, 2])
def test_a_resumed_run_or_subtree_continues_at_once(world, tree, of_node, batch_size, settings):
    result = tree.apply_async()
    (top,) = result.children
    message, *_ = world.receive_all()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("django_tasktree.worker.taking._Taking.run", lambda *_args, **_kwargs: None)
        world.deliver(message, "w")
    settings.TASKTREE = {"SHARE_MESSAGE_FOR": 3600, "BATCH_SIZE": batch_size}
    handle = top if of_node else result
    handle.pause()
    use_messages_up(world, result)
    handle.resume()
    assert world.deliver_all("w") > 0
    assert result.state == "SUCCESS"
