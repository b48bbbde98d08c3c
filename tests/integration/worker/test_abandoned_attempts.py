"""A live worker abandons attempts that it no longer runs."""

import os
import subprocess
import sys

import pytest
from celery.worker import state as worker_state

from django_tasktree import TaskTree
from django_tasktree.engine.lifecycle.claim import claim
from django_tasktree.models import NodeAttempt
from django_tasktree.worker.abandoned_attempts import AbandonedAttempts
from django_tasktree.worker.held_requests import has_exited, hold
from tests import simulation
from tests.integration.engine.trees import ref
from tests.patience import until
from tests.sample.tasks import echo


@pytest.fixture
def world(database, app):
    with simulation.simulated(app, "attempts") as world:
        world.start_worker("w")
        yield world


def started(world, **options):
    """Launch a node and claim it; return its handle and the message."""
    tree = TaskTree()
    tree.add_task(echo, ["a"], **options)
    handle = tree.apply_async().children[0]
    world.receive_all()
    message = ref(handle.id)
    assert claim(message, "w@here", world.hosts["w"].id)
    return handle, message


def test_an_attempt_that_is_not_running_is_abandoned_at_the_second_check(world):
    handle, _message = started(world)
    attempts = AbandonedAttempts(world.app)
    attempts.requeue_or_fail(world.hosts["w"].id)
    assert handle.state == "STARTED"
    attempts.requeue_or_fail(world.hosts["w"].id)
    assert handle.state == "QUEUED"
    assert NodeAttempt.objects.get(node=handle.id).outcome == "LOST"
    assert (
        "worker w@here is alive but no longer runs the attempt" in NodeAttempt.objects.get(node=handle.id).error_message
    )
    world.deliver_all("w")
    assert handle.get() == "a"


def test_a_node_that_must_not_run_twice_fails(world):
    handle, _ = started(world, on_worker_lost="fail")
    attempts = AbandonedAttempts(world.app)
    attempts.requeue_or_fail(world.hosts["w"].id)
    attempts.requeue_or_fail(world.hosts["w"].id)
    assert handle.state == "FAILURE"


class Held:
    """A request that the worker has received."""

    def __init__(self, message, pid=None):
        self.id = str(message.task_id)
        self.has_ended = False
        self.worker_pid = pid
        hold(self)


def test_a_running_attempt_is_kept(world):
    handle, message = started(world)
    running, copy = Held(message), Held(message)
    # Neither the end of a copy nor Celery's own table says anything about the running attempt.
    copy.has_ended = True
    worker_state.requests.pop(running.id, None)
    attempts = AbandonedAttempts(world.app)
    for _ in range(3):
        attempts.requeue_or_fail(world.hosts["w"].id)
    assert handle.state == "STARTED"
    running.has_ended = True
    for _ in range(2):
        attempts.requeue_or_fail(world.hosts["w"].id)
    assert handle.state == "QUEUED"


@pytest.fixture
def exited():
    """Yield the ID of a process that has exited and was not waited for."""
    child = subprocess.Popen([sys.executable, "-c", ""])
    until(lambda: has_exited(child.pid))
    yield child.pid
    child.wait()


def test_an_attempt_whose_process_has_exited_is_abandoned(world, exited):
    """Independently of Celery's own state, because its main thread may hang."""
    handle, message = started(world)
    running = Held(message, exited)
    attempts = AbandonedAttempts(world.app)
    for _ in range(2):
        attempts.requeue_or_fail(world.hosts["w"].id)
    assert (handle.state, running.has_ended) == ("QUEUED", False)


def test_attempts_are_abandoned_if_no_process_of_the_pool_is_alive(world, exited):
    handle, message = started(world)
    running = Held(message)
    attempts = AbandonedAttempts(world.app, lambda: [exited, os.getpid()])
    for _ in range(3):
        attempts.requeue_or_fail(world.hosts["w"].id)
    assert handle.state == "STARTED"
    attempts = AbandonedAttempts(world.app, lambda: [exited])
    for _ in range(2):
        attempts.requeue_or_fail(world.hosts["w"].id)
    assert (handle.state, running.has_ended) == ("QUEUED", False)


def test_attempts_of_other_workers_are_kept(world):
    handle, _ = started(world)
    world.start_worker("other")
    attempts = AbandonedAttempts(world.app)
    for _ in range(3):
        attempts.requeue_or_fail(world.hosts["other"].id)
    assert handle.state == "STARTED"
