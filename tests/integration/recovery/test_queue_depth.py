"""The number of messages in a queue of a real broker."""

import pytest
from celery import Celery
from celery.app.routes import Router, prepare
from kombu import Queue

from django_tasktree.builder.routes import Target, target_of
from django_tasktree.dispatch.publisher import unreachable
from django_tasktree.recovery.queues import Queues
from tests import celery_settings, services, workers
from tests.patience import until
from tests.sample.tasks import echo

UNREACHABLE = {"redis": "redis://127.0.0.1:1/0", "rabbitmq": "amqp://guest:guest@127.0.0.1:1//"}


@pytest.fixture(params=["redis", "redis-unprefixed", "rabbitmq", "filesystem", "memory"])
def broker(request, app):
    """Yield a broker and a queue; on Redis, the keys have a prefix (``global_keyprefix``) unless stated otherwise."""
    name, _, unprefixed = request.param.partition("-")
    service = services.BROKERS.get(name) or services.Service("memory", "memory://", "")
    services.need(service)
    queue = workers.queue_of(f"depth-{request.param}")
    with workers.use_broker(app, service, queue):
        if unprefixed:
            celery_settings.put(app, {"broker_transport_options": {}})
        yield service, queue
        if unprefixed:
            with app.connection_for_write() as connection:
                connection.channel().queue_delete(queue)
    if name in ("redis", "rabbitmq"):
        workers.delete_queue(service, queue)


def depth_of(app, queue):
    """Return the depth of a queue."""
    with Queues(app) as found:
        return found.depth(queue)


def wait_for_depth(app, queue, expected):
    """Wait until a queue has that depth: a server may take a moment to enqueue a message."""
    until(lambda: depth_of(app, queue) == expected, lambda: f"{depth_of(app, queue)} messages, not {expected}")


def test_the_depth_is_the_number_of_waiting_messages(broker, app):
    _, queue = broker
    for number in range(3):
        echo.apply_async([number])
    wait_for_depth(app, queue, 3)
    with app.connection_for_read() as connection, connection.channel() as channel:
        bound = Queue(queue)(channel)
        for _ in range(3):
            bound.get(no_ack=True)
    assert depth_of(app, queue) == 0


def test_a_queue_that_does_not_exist_counts_as_empty(broker, app):
    """It has no consumer and no message, and reading its depth does not create it."""
    _, queue = broker
    with Queues(app) as found:
        assert found.depth(f"{queue}-nowhere") == 0
        assert found.depth(f"{queue}-nowhere-either") == 0
    assert depth_of(app, f"{queue}-nowhere") == 0


@pytest.mark.parametrize("kind", list(UNREACHABLE))
def test_an_unreachable_broker_is_an_error(kind):
    app = Celery(broker=UNREACHABLE[kind], set_as_current=False)
    with pytest.raises(unreachable(app)), Queues(app) as found:
        found.depth("any")


def test_the_queue_of_a_message_follows_its_options(app):
    default = app.conf.task_default_queue
    assert target_of(app, echo.name, {}) == Target(default, None)
    assert target_of(app, echo.name, {"queue": "other", "priority": 3}) == Target("other", 3)
    assert target_of(app, "not.known.here", {}) == Target(default, None)
    assert target_of(app, echo.name, {"exchange": "x", "routing_key": "y"}) == Target(None)


def test_the_queue_is_unknown_if_the_router_needs_the_arguments(app, caplog, monkeypatch):
    def route(name, args, kwargs, options, task=None, **_):
        return {"queue": args[0]}

    monkeypatch.setitem(app.amqp.__dict__, "router", Router(prepare((route,)), app.amqp.queues, True, app))
    assert target_of(app, echo.name, {}) == Target(None)
    assert "could not find the queue of task" in caplog.text
