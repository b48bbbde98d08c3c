"""Nodes receive each other's results with every serializer of messages."""

import pytest

from django_tasktree import TaskTree
from tests import celery_settings, simulation
from tests.sample.tasks import add, echo, flaky, total

SERIALIZERS = ["json", "msgpack", "yaml", "pickle"]


@pytest.fixture
def world(app, database):
    with simulation.simulated(app, "serializers") as world:
        world.start_worker("w")
        yield world


def passing_tree():
    """Return a tree whose nodes pass results in each way, and its gather node."""
    tree = TaskTree()
    one = tree.add_task(add, [1, 2])
    one.add_task(add, [one.output, 10])
    one.add_task(add, kwargs={"x": one.output, "y": 20})
    one.add_task(flaky, [1, one.output])
    return tree, one.gather(total, [one.outputs])


@pytest.fixture
def deliver(app, world, monkeypatch):
    """Return a function that runs a tree with a serializer of messages from the settings."""

    def run(serializer, accepted, tree):
        for task in (add, echo, flaky, total):
            # Each task already has a copy of the setting and has cached the options of its messages.
            monkeypatch.setattr(task, "serializer", serializer)
            monkeypatch.setattr(task, "_exec_options", None)
        with celery_settings.changed(app, task_serializer=serializer, accept_content=accepted):
            result = tree.apply_async()
            types = set()
            while messages := world.receive_all():
                types |= {message.content_type for message in messages}
                for message in messages:
                    world.deliver(message, "w")
        return result, types

    return run


@pytest.mark.parametrize("serializer", SERIALIZERS)
def test_results_are_passed_with_each_serializer(deliver, serializer):
    tree, gathered = passing_tree()
    result, types = deliver(serializer, [serializer, "json"], tree)
    assert result.state == "SUCCESS"
    assert result[gathered].get() == 13 + 23 + 3
    assert any(serializer in kind or serializer == "pickle" for kind in types)


@pytest.mark.parametrize("serializer", ["msgpack", "yaml"])
def test_the_error_says_that_json_must_be_accepted(deliver, serializer):
    tree = TaskTree()
    one = tree.add_task(echo, [1])
    other = one.add_task(echo, [one.output])
    result, _ = deliver(serializer, [serializer], tree)
    assert (result[one].state, result[other].state) == ("SUCCESS", "FAILURE")
    assert "add 'json' to CELERY_ACCEPT_CONTENT" in result[other].node.error_message
    assert result[other].node.attempts == 0
