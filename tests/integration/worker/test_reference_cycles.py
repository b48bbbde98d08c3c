"""What a message leaves behind is freed at once: memory in reference cycles stays until a rare full collection."""

import gc

import pytest

from django_tasktree import TaskTree
from django_tasktree.models import NodeRun
from tests import simulation
from tests.sample.tasks import echo, fail, flaky, ignore, stop

QUEUE = "cycles"
#: Python is slow to collect them: objects that are not counted, such as texts, do not hasten a collection.
OWN = "django_tasktree"


@pytest.fixture
def world(database, app, sharing, settings):
    """Yield a simulation with a worker of one process, in which the time of a message does not end."""
    settings.TASKTREE = {"SHARE_MESSAGE_FOR": 3600}
    with simulation.one_process(app, QUEUE) as world:
        yield world


def names_left_by(deliver):
    """Return the types of the app's own objects that are in reference cycles after a call."""
    gc.collect()
    gc.disable()
    try:
        deliver()
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        return {type(each).__qualname__ for each in gc.garbage if type(each).__module__.startswith(OWN)}
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


@pytest.mark.parametrize(
    ("task", "args"),
    [(echo, [1]), (fail, ["no"]), (flaky, [1]), (ignore, []), (stop, [1])],
    ids=["echo", "fail", "flaky", "ignore", "stop"],
)
def test_a_message_that_runs_many_nodes(world, task, args):
    tree = TaskTree()
    for _ in range(20):
        tree.add_task(task, args, allow_failure=True)
    result = tree.apply_async()
    messages = world.receive_all()
    assert len(messages) > 1
    # The first one runs the nodes, and the nodes of the others have ended.
    for message in messages:
        assert names_left_by(lambda message=message: world.deliver(message, "w")) == set()
    assert NodeRun.objects.filter(run_id=result.id, attempts=1).count() == 20
    world.deliver_all("w")
    assert result.state == "SUCCESS"


def test_a_message_of_a_single_node(world):
    tree = TaskTree()
    tree.add_task(echo, share_message=False)
    result = tree.apply_async()
    (message,) = world.receive_all()
    for _ in ["executed", "refused"]:
        assert names_left_by(lambda: world.deliver(message, "w")) == set()
    assert result.state == "SUCCESS"
