"""No tree is lost while the broker cannot be reached."""

import logging
import socket

import pytest
from celery.exceptions import Retry
from kombu import serialization

from django_tasktree import TaskTree
from django_tasktree.dispatch.message import HEADER
from django_tasktree.engine.types import NodeRef
from django_tasktree.models import NodeRun
from django_tasktree.worker.execution import run_attempt
from tests import services, workers
from tests.sample.tasks import echo, flaky

pytestmark = [pytest.mark.django_db(transaction=True)]


@pytest.fixture(params=["redis", "amqp"])
def unreachable_broker(request, app):
    """Use a broker whose port refuses connections."""
    services.need(services.REDIS if request.param == "redis" else services.RABBITMQ)
    with socket.socket() as taken:
        # The port is bound, but without a listener, so connections are refused.
        taken.bind(("127.0.0.1", 0))
        url = f"{request.param}://127.0.0.1:{taken.getsockname()[1]}//"
        with workers.use_broker(app, services.Service("unreachable", url, ""), "nowhere"):
            yield url


@pytest.mark.parametrize("nodes", [1, 20])
def test_a_launch_leaves_its_nodes_queued_and_warns(unreachable_broker, caplog, nodes):
    tree = TaskTree()
    for number in range(nodes):
        tree.add_task(echo, [number])
    with caplog.at_level(logging.WARNING, logger="django_tasktree"):
        result = tree.apply_async()
    assert result.state == "STARTED"
    assert result.progress().by_state == {"QUEUED": nodes}
    (record,) = [record for record in caplog.records if record.name.startswith("django_tasktree")]
    assert record.levelno == logging.WARNING
    assert "broker can't be reached" in record.getMessage()
    assert str(result.id) in record.getMessage()


@pytest.fixture
def broken_serializer():
    """Register a serializer named ``broken`` that cannot encode anything."""

    def encode(_value):
        raise ValueError("broken")

    serialization.register("broken", encode, None, "application/x-broken")
    yield
    serialization.unregister("broken")


@pytest.mark.django_db(transaction=True)
def test_a_message_that_cannot_be_encoded_fails_its_node(app, caplog, broken_serializer):
    tree = TaskTree()
    bad = tree.add_task(echo, [1], serializer="broken")
    after = bad.add_task(echo, ["after"], run_when="failure")
    never = bad.add_task(echo, ["never"])
    result = tree.apply_async()
    assert result[bad].state == "FAILURE"
    assert "broken" in result[bad].node.error_message
    assert result[never].state == "SKIPPED"
    assert result[after].state == "QUEUED"
    assert NodeRun.objects.get(id=result[after].id).attempts == 0


def test_a_chain_of_unsendable_messages_needs_no_recursion(app, caplog, broken_serializer):
    caplog.set_level(logging.CRITICAL)
    tree = TaskTree()
    tree.push(echo, serializer="broken")
    for _ in range(300):
        tree.push(echo, serializer="broken", run_when="failure")
    assert tree.apply_async().state == "FAILURE"


def test_a_retry_that_cannot_be_sent_leaves_its_node_in_retry(unreachable_broker, app, caplog):
    tree = TaskTree()
    node = tree.add_task(flaky, [1])
    result = tree.apply_async()
    attempt = NodeRef.of(result[node].node)
    request = {"id": str(attempt.task_id), "headers": {HEADER: {}}, "args": [1], "kwargs": {}, "called_directly": False}
    flaky.push_request(**request)
    try:
        with caplog.at_level(logging.WARNING, logger="django_tasktree"), pytest.raises(Retry):
            run_attempt(flaky, attempt, [1], {}, flaky.run)
    finally:
        flaky.pop_request()
    assert result[node].state == "RETRY"
    assert "stays in RETRY" in caplog.records[-1].getMessage()
