"""How many messages wait in a queue of a real broker."""

import pytest
from celery import Celery
from celery.app.routes import Router, prepare
from kombu import Queue

from django_tasktree.sweeping.queues import Queues, Target, target_of
from django_tasktree.worker.publisher import unreachable
from tests import services, workers
from tests.patience import until
from tests.sample.tasks import echo

NOBODY_ANSWERS = {"redis": "redis://127.0.0.1:1/0", "rabbitmq": "amqp://guest:guest@127.0.0.1:1//"}


@pytest.fixture(params=["redis", "rabbitmq", "filesystem", "memory"])
def broker(request, app):
    service = services.BROKERS.get(request.param) or services.Service("memory", "memory://", "")
    services.need(service)
    queue = workers.queue_of(f"depth-{request.param}")
    with workers.use_broker(app, service, queue):
        yield service, queue
    if request.param in ("redis", "rabbitmq"):
        workers.delete_queue(service, queue)


def depth_of(app, queue):
    with Queues(app) as found:
        return found.depth(queue)


def until_there_are(app, queue, expected):
    """A server may take a moment to put into a queue what it was sent."""
    until(lambda: depth_of(app, queue) == expected, lambda: f"{depth_of(app, queue)} messages, not {expected}")


def test_it_counts_what_waits(broker, app):
    _, queue = broker
    for number in range(3):
        echo.apply_async([number])
    until_there_are(app, queue, 3)
    with app.connection_for_read() as connection, connection.channel() as channel:
        bound = Queue(queue)(channel)
        for _ in range(3):
            bound.get(no_ack=True)
    assert depth_of(app, queue) == 0


def test_a_queue_that_does_not_exist_is_empty(broker, app):
    """Nobody consumes it and nobody has written to it; asking does not make it either."""
    _, queue = broker
    with Queues(app) as found:
        assert found.depth(f"{queue}-nowhere") == 0
        assert found.depth(f"{queue}-nowhere-either") == 0
    assert depth_of(app, f"{queue}-nowhere") == 0


@pytest.mark.parametrize("kind", list(NOBODY_ANSWERS))
def test_a_broker_that_is_down_is_an_error_and_no_empty_queue(kind):
    app = Celery(broker=NOBODY_ANSWERS[kind], set_as_current=False)
    with pytest.raises(unreachable(app)), Queues(app) as found:
        found.depth("any")


def test_where_a_message_goes(app):
    default = app.conf.task_default_queue
    assert target_of(app, echo.name, {}) == Target(default, None)
    assert target_of(app, echo.name, {"queue": "other", "priority": 3}) == Target("other", 3)
    assert target_of(app, "not.known.here", {}) == Target(default, None)
    assert target_of(app, echo.name, {"exchange": "x", "routing_key": "y"}) == Target(None)


def test_a_router_that_needs_the_arguments_can_not_tell(app, caplog, monkeypatch):
    def route(name, args, kwargs, options, task=None, **_):
        return {"queue": args[0]}

    monkeypatch.setitem(app.amqp.__dict__, "router", Router(prepare((route,)), app.amqp.queues, True, app))
    assert target_of(app, echo.name, {}) == Target(None)
    assert "can't be told without its arguments" in caplog.text
