"""Task classes that override methods which Celery documents behave in trees as with plain Celery."""

import pytest

from django_tasktree import TaskTree
from tests import simulation
from tests.patience import PATIENCE
from tests.sample import classes
from tests.sample.tasks import echo

RUN = [
    (classes.ends_in_run, ["call", "function"]),
    (classes.ends_in_super, ["call", "function"]),
    (classes.mixed, ["mixin", "call", "function"]),
    (classes.Plain.tasktree_registered, ["call", "function"]),  # type: ignore[attr-defined]
]


@pytest.fixture(autouse=True)
def calls():
    classes.calls.clear()
    return classes.calls


@pytest.fixture(params=["eager", "message"])
def deliver(request, app, database):
    """Yield a function that runs what was launched: in this process, or as a worker does."""
    if request.param == "eager":
        request.getfixturevalue("eager")
        yield lambda: None
        return
    with simulation.simulated(app, "classes") as world:
        world.start_worker("w")
        yield lambda: world.deliver_all("w")


def run(deliver, task, *args, **kwargs):
    """Run a tree of one node and a child; return the handle of the node."""
    tree = TaskTree()
    node = tree.add_task(task, list(args), kwargs)
    node.add_task(echo, ["after"], run_when="always")
    result = tree.apply_async()
    deliver()
    assert result.ready()
    return result[node]


@pytest.mark.parametrize(("task", "expected"), RUN, ids=["run", "super", "mixin", "plain class"])
def test_call(deliver, calls, task, expected):
    handle = run(deliver, task, "value")
    assert (handle.get(), handle.node.attempts, calls) == ("value", 1, expected)


@pytest.mark.parametrize(("task", "expected"), RUN[:3], ids=["run", "super", "mixin"])
def test_call_outside_trees(calls, task, expected, eager):
    assert task.delay("value").get() == "value"
    assert calls == expected


def test_call_around_a_retry(deliver, calls):
    handle = run(deliver, classes.fails_once, "value")
    assert (handle.get(), handle.node.attempts, calls) == ("value", 2, ["call", "function"] * 2)


@pytest.mark.parametrize("task", [classes.call_raises, classes.start_raises], ids=["call", "before_start"])
def test_an_error_before_the_task_function_fails_the_node(deliver, calls, task):
    row = run(deliver, task, "value").node
    assert (row.state, row.error_type, row.error_message) == ("FAILURE", "builtins.LookupError", "no tenant")
    assert (row.attempts, calls) == (1, [])


def test_before_start(deliver, calls):
    handle = run(deliver, classes.starts, "value")
    assert handle.get() == "value"
    assert calls == [("start", str(handle.node.task_id), ["value"]), "function"]


def test_an_argument_named_self(deliver):
    assert run(deliver, classes.takes_self, self=1, other=2).get() == [1, 2]


def test_an_argument_named_self_outside_trees(app, transactional_db):
    """Send the message with ``apply_async``, because Python itself refuses ``delay(self=…)``.

    Whether Celery accepts such an argument for its own task class depends on what the process ran before.
    """
    with simulation.simulated(app, "self") as world:
        world.start_worker("w")
        result = classes.takes_self.apply_async(kwargs={"self": 1, "other": 2})
        world.deliver_all("w")
        assert result.get(timeout=PATIENCE) == [1, 2]


@pytest.mark.parametrize(
    "task", [classes.once, classes.singleton, classes.once_loud], ids=["returns nothing", "another result", "raises"]
)
def test_a_class_that_does_not_send(app, database, caplog, task):
    with simulation.simulated(app, "once") as world:
        world.start_worker("w")
        handle = run(lambda: world.deliver_all("w"), task, "value")
        assert (handle.get(), handle.node.attempts) == ("value", 1)
        assert "the apply_async of its class did not send a node's message" in caplog.text


def test_a_class_that_does_not_send_the_retry(app, database):
    with simulation.simulated(app, "once") as world:
        world.start_worker("w")
        handle = run(lambda: world.deliver_all("w"), classes.singleton_retries)
        assert (handle.get(), handle.node.attempts) == ("done", 2)


@pytest.mark.parametrize("retries", [0, 1])
def test_a_class_that_adds_a_header(app, database, caplog, retries):
    with simulation.simulated(app, "tenant") as world:
        world.start_worker("w")
        handle = run(lambda: world.deliver_all("w"), classes.tenant, retries)
        assert (handle.get(), handle.node.attempts) == ("acme", retries + 1)
        assert "did not send" not in caplog.text
