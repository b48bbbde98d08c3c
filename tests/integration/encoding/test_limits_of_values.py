"""Values that are too large are refused with a clear error, and nothing is partly written."""

import pytest

from django_tasktree import TaskTree, current_node, task_with_callbacks
from django_tasktree.exceptions import ValueTooLarge
from django_tasktree.models import NodeRun, TreeRun
from tests.sample.tasks import echo


@task_with_callbacks
def write(size):
    return "x" * size


@task_with_callbacks
def grow_large(size):
    current_node().add_task(echo, ["x" * size])


@pytest.fixture
def small_limits(settings, database):
    """Set small limits for arguments and results."""
    settings.TASKTREE = {"MAX_ARGS_SIZE": 100, "MAX_RESULT_SIZE": 200}


@pytest.mark.parametrize("how", ["args", "kwargs"])
def test_arguments_that_are_too_large(small_limits, how):
    tree = TaskTree()
    tree.add_task(echo, ["fine"])
    tree.add_task(echo, ["x" * 200] if how == "args" else None, {"value": "x" * 200} if how == "kwargs" else None)
    with pytest.raises(ValueTooLarge, match=rf"the {how} of node .*echo.* at most 100 are allowed: .*MAX_ARGS_SIZE"):
        tree.apply_async()
    assert not TreeRun.objects.exists()
    assert not NodeRun.objects.exists()


def test_arguments_of_nodes_that_are_added_to_a_run(small_limits, eager):
    tree = TaskTree()
    tree.add_task(echo, [1])
    result = tree.apply_async()
    with pytest.raises(ValueTooLarge):
        result.children[0].add_task(echo, ["x" * 200])
    assert NodeRun.objects.count() == 1


def test_arguments_of_nodes_that_a_task_adds(small_limits, eager):
    tree = TaskTree()
    tree.add_task(grow_large, [200])
    row = tree.apply_async().children[0].node
    assert (row.state, NodeRun.objects.count()) == ("FAILURE", 1)
    assert row.error_type == "django_tasktree.exceptions.ValueTooLarge"


def test_a_result_that_is_too_large(small_limits, eager):
    tree = TaskTree()
    node = tree.add_task(write, [199])
    after = node.add_task(echo, ["after"], run_when="failure")
    result = tree.apply_async()
    assert (result[node].state, result[after].state) == ("FAILURE", "SUCCESS")
    assert "201 characters as text, and at most 200 are allowed" in result[node].node.error_message
    assert "MAX_RESULT_SIZE" in result[node].node.error_message


def test_values_at_the_limits_are_accepted(small_limits, eager):
    tree = TaskTree()
    tree.add_task(write, [198])
    tree.add_task(echo, ["x" * 96])
    assert tree.apply_async().state == "SUCCESS"


def test_no_limits(settings, database, eager):
    settings.TASKTREE = {"MAX_ARGS_SIZE": None, "MAX_RESULT_SIZE": None}
    tree = TaskTree()
    tree.add_task(echo, ["x" * 2_000_000])
    assert tree.apply_async().state == "SUCCESS"
