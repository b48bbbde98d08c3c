"""A worker that lives gives up what it no longer runs."""

import os
import subprocess
import sys

import pytest
from celery.worker import state as worker_state

from django_tasktree import TaskTree
from django_tasktree.engine.claim import claim
from django_tasktree.models import NodeAttempt
from django_tasktree.worker.dropped import Dropped
from django_tasktree.worker.held import has_exited, hold
from tests import simulation
from tests.integration.engine.trees import ref
from tests.patience import until
from tests.sample.tasks import echo


@pytest.fixture
def world(database, app):
    with simulation.simulated(app, "dropped") as world:
        world.start_worker("w")
        yield world


def started(world, **options):
    tree = TaskTree()
    tree.add_task(echo, ["a"], **options)
    handle = tree.apply_async().children[0]
    world.receive_all()
    message = ref(handle.id)
    assert claim(message, "w@here", world.hosts["w"].id)
    return handle, message


def test_an_attempt_that_nobody_runs_is_given_up_at_the_second_look(world):
    handle, _message = started(world)
    dropped = Dropped(world.app)
    dropped.give_up(world.hosts["w"].id)
    assert handle.state == "STARTED"
    dropped.give_up(world.hosts["w"].id)
    assert handle.state == "QUEUED"
    assert NodeAttempt.objects.get(node=handle.id).outcome == "LOST"
    assert "w@here lives, but does not run it any more" in NodeAttempt.objects.get(node=handle.id).error_message
    world.deliver_all("w")
    assert handle.get() == "a"


def test_a_node_that_must_not_run_twice_fails(world):
    handle, _ = started(world, on_worker_lost="fail")
    dropped = Dropped(world.app)
    dropped.give_up(world.hosts["w"].id)
    dropped.give_up(world.hosts["w"].id)
    assert handle.state == "FAILURE"


class Held:
    """A request that the worker has received."""

    def __init__(self, message, pid=None):
        self.id = str(message.task_id)
        self.has_ended = False
        self.worker_pid = pid
        hold(self)


def test_an_attempt_that_runs_is_left_alone(world):
    handle, message = started(world)
    running, copy = Held(message), Held(message)
    # The end of a copy says nothing about the one that runs; nor does Celery's own table.
    copy.has_ended = True
    worker_state.requests.pop(running.id, None)
    dropped = Dropped(world.app)
    for _ in range(3):
        dropped.give_up(world.hosts["w"].id)
    assert handle.state == "STARTED"
    running.has_ended = True
    for _ in range(2):
        dropped.give_up(world.hosts["w"].id)
    assert handle.state == "QUEUED"


@pytest.fixture
def exited():
    """A process that has exited, while nobody has asked for its status."""
    child = subprocess.Popen([sys.executable, "-c", ""])
    until(lambda: has_exited(child.pid))
    yield child.pid
    child.wait()


def test_an_attempt_whose_process_has_exited_is_given_up(world, exited):
    """Whatever Celery knows: its main thread may hang."""
    handle, message = started(world)
    running = Held(message, exited)
    dropped = Dropped(world.app)
    for _ in range(2):
        dropped.give_up(world.hosts["w"].id)
    assert (handle.state, running.has_ended) == ("QUEUED", False)


def test_where_no_process_of_the_pool_lives_nothing_runs(world, exited):
    handle, message = started(world)
    running = Held(message)
    dropped = Dropped(world.app, lambda: [exited, os.getpid()])
    for _ in range(3):
        dropped.give_up(world.hosts["w"].id)
    assert handle.state == "STARTED"
    dropped = Dropped(world.app, lambda: [exited])
    for _ in range(2):
        dropped.give_up(world.hosts["w"].id)
    assert (handle.state, running.has_ended) == ("QUEUED", False)


def test_attempts_of_other_workers_are_left_alone(world):
    handle, _ = started(world)
    world.start_worker("other")
    dropped = Dropped(world.app)
    for _ in range(3):
        dropped.give_up(world.hosts["other"].id)
    assert handle.state == "STARTED"
