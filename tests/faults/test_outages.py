"""The broker is emptied and killed, the database too, in the middle of a run: it ends, and nothing is lost."""

import time

import pytest

from tests import services
from tests.databases import active
from tests.faults.crowd import a_generator, a_tree_of, assert_survived, crowd, pause
from tests.faults.private_servers import PrivateRabbitMQ, PrivateRedis, private, private_postgresql

pytestmark = [
    pytest.mark.worker,
    pytest.mark.timeout(400),
    pytest.mark.django_db(transaction=True, databases="__all__"),
]

NODES = 600


@pytest.mark.parametrize("server_class", [PrivateRedis, PrivateRabbitMQ], ids=["redis", "rabbitmq"])
def test_the_broker_is_emptied_and_killed(app, server_class):
    choose = a_generator()
    services.need(services.POSTGRESQL)
    with private(server_class) as server, crowd(app, "postgresql", server.service, "broker-outage") as workers:
        workers.start(2)
        result = a_tree_of(NODES).apply_async()
        for number in range(3):
            pause(choose.uniform(0.3, 0.8))
            if number == 1:
                server.restart()
            else:
                server.empty(workers.queue)
        assert not result.ready()
        assert_survived(result)


@pytest.mark.parametrize(
    ("broker", "seconds"), [(services.REDIS, 30), (services.RABBITMQ, 5)], ids=["redis", "rabbitmq"]
)
def test_the_database_is_restarted_and_cut_off(app, broker, seconds):
    choose = a_generator()
    services.need(services.POSTGRESQL)
    with private_postgresql() as server, active(server.alias), crowd(app, server.alias, broker, "db-outage") as workers:
        workers.start(2)
        result = a_tree_of(NODES).apply_async()
        pause(choose.uniform(0.3, 0.8))
        server.restart()
        server.stop()
        pause(4)
        server.start()
        server.connect_again()
        assert not result.ready()
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            server.connect_again()
            server.cut_connections()
            pause(0.2)
        server.connect_again()
        assert_survived(result)
