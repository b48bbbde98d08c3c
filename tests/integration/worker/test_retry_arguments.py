"""A retry with other arguments: the next attempt has them even if the message is lost."""

import pytest

from django_tasktree import TaskTree
from django_tasktree.recovery.sweep import sweep
from django_tasktree.testing import run_tree
from tests import simulation
from tests.integration.recovery.scenes import age, started
from tests.sample.tasks import count_down, echo, gives_up, retry_with


@pytest.fixture
def world(database, app):
    with simulation.simulated(app, "retry-arguments") as world:
        world.start_worker("w")
        yield world


def launch(task, *args, **kwargs):
    """Launch a tree of one node and return its handle."""
    tree = TaskTree()
    tree.add_task(task, args, kwargs)
    return tree.apply_async().children[0]


def test_new_arguments_are_stored_in_the_row(world):
    node = launch(count_down, 3)
    (message,) = world.receive_all()
    world.deliver(message, "w")
    assert (node.state, node.node.args, node.node.kwargs) == ("RETRY", "[2]", '{"step": 1, "path": [3]}')
    world.deliver_all("w")
    assert node.get() == [3, 2, 1, 0]


def test_new_arguments_in_eager_mode(database, eager):
    assert launch(count_down, 4, step=2).get() == [4, 2, 0]


def test_a_lost_message_is_sent_again_with_the_new_arguments(world):
    node = launch(count_down, 2)
    world.deliver(world.receive_all()[0], "w")
    world.receive_all()
    age(node, 60)
    assert sweep(world.app).resent == 1
    world.deliver_all("w")
    assert node.get() == [2, 1, 0]


def test_a_lost_attempt_is_repeated_with_the_new_arguments(world):
    node = launch(count_down, 1)
    world.deliver(world.receive_all()[0], "w")
    world.receive_all()
    started(world, node)
    age(node, 60)
    world.kill_worker("w")
    assert sweep(world.app).requeued == 1
    world.start_worker("other")
    world.deliver_all("other")
    assert node.get() == [1, 0]


def test_new_arguments_that_come_from_results_of_other_nodes(world):
    tree = TaskTree()
    first = tree.add_task(echo, [2])
    second = first.add_task(count_down, [first.output])
    result = tree.apply_async()
    world.deliver_all("w")
    assert result[second].get() == [2, 1, 0]


@pytest.mark.parametrize(("what", "error"), [("object", "SerializationError"), ("long", "ValueTooLarge")])
def test_new_arguments_that_cannot_be_stored_fail_the_node(world, settings, what, error):
    settings.TASKTREE = {"MAX_ARGS_SIZE": 1000}
    node = launch(retry_with, what)
    world.deliver_all("w")
    assert node.state == "FAILURE"
    assert node.node.error_type.endswith(error)


def test_a_task_function_may_handle_that_no_retry_is_left(database):
    tree = TaskTree()
    tree.add_task(gives_up)
    result = run_tree(tree)
    assert result.join() == [1]
    assert result.children[0].node.attempts == 2
