"""Messages whose process runs other nodes: the end of such a process says nothing about the node of its message."""

from uuid import uuid4

import pytest

from django_tasktree.dispatch.capacities import forget_workers
from django_tasktree.encoding import times
from django_tasktree.engine.heartbeats import workers
from django_tasktree.models import NodeRun
from django_tasktree.worker import identity, lost_attempts
from tests.integration.recovery.scenes import launched
from tests.sample.tasks import echo

pytestmark = pytest.mark.usefixtures("sharing")

QUEUE = "test_carriers"


@pytest.fixture
def scene(database, world):
    """Let the process of the first message run the second node, and that of the second message the third node.

    Return the nodes and the second message.
    """
    workers().filter(hostname="w").update(queues=[QUEUE], concurrency=1)
    forget_workers()
    first, second, third = handles = launched("a", "b", "c")
    messages = {message.id: message for message in world.receive_all()}
    for node, carrier in ((second, first), (third, second)):
        rows = NodeRun.objects.filter(id=node.id)
        rows.update(state="STARTED", attempts=1, carried_by=carrier.task_id, started_at=times.now())
    NodeRun.objects.filter(id=first.id).update(state="SUCCESS", settled=True, result="1")
    yield handles, messages[str(second.task_id)]
    forget_workers()


def states_of(handles):
    return [handle.state for handle in handles]


def test_a_lost_process_loses_only_the_nodes_that_it_ran(scene):
    handles, message = scene
    lost_attempts.attempt_lost(message.headers, message.id, echo, RuntimeError("killed"))
    assert states_of(handles) == ["SUCCESS", "STARTED", "QUEUED"]


@pytest.mark.parametrize("is_own", [True, False])
def test_a_worker_loses_nothing_that_another_worker_runs_for_the_same_message(scene, world, monkeypatch, is_own):
    """Both workers have received the message: the broker or the sweep has sent it twice."""
    handles, message = scene
    here = world.hosts["w"].id
    monkeypatch.setattr(identity, "here", here)
    NodeRun.objects.filter(id=handles[1].id).update(carried_by=None, worker_id=uuid4())
    NodeRun.objects.filter(id=handles[2].id).update(worker_id=here if is_own else uuid4())
    lost_attempts.attempt_lost(message.headers, message.id, echo, RuntimeError("killed"))
    assert states_of(handles) == ["SUCCESS", "STARTED", "QUEUED" if is_own else "STARTED"]


def test_a_time_limit_fails_only_the_node_that_its_process_ran(scene):
    handles, message = scene
    lost_attempts.attempt_timed_out(message.headers, message.id, RuntimeError("too long"))
    assert states_of(handles) == ["SUCCESS", "STARTED", "FAILURE"]


def test_errors_are_not_results_of_the_node_of_the_message(scene):
    handles, message = scene
    assert lost_attempts.concerns_other_nodes(message.headers, message.id)
    NodeRun.objects.filter(id=handles[2].id).update(state="SUCCESS", settled=True)
    NodeRun.objects.filter(id=handles[1].id).update(carried_by=None)
    assert not lost_attempts.concerns_other_nodes(message.headers, message.id)
    NodeRun.objects.filter(id=handles[1].id).update(state="SUCCESS")
    assert lost_attempts.concerns_other_nodes(message.headers, message.id)


def test_a_broken_message_loses_only_the_nodes_that_its_process_ran(scene):
    handles, message = scene
    lost_attempts.attempt_broken(message.headers, message.id, echo, RuntimeError("broken"))
    assert states_of(handles) == ["SUCCESS", "STARTED", "QUEUED"]


@pytest.mark.parametrize("state", ["STARTED", "QUEUED"])
def test_a_terminated_process_revokes_no_node_of_another_process(scene, state):
    """The node of the message runs elsewhere, or was queued again because a long task function runs there."""
    handles, message = scene
    NodeRun.objects.filter(id=handles[1].id).update(state=state)
    NodeRun.objects.filter(id=handles[2].id).update(hold="revoked")
    lost_attempts.attempt_revoked(message.headers, message.id, expired=False, terminated=True)
    assert states_of(handles) == ["SUCCESS", state, "REVOKED"]
