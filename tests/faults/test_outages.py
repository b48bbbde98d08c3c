"""The broker or the database is emptied, killed or restarted during a run: the run ends, and nothing is lost."""

import time

import pytest

from django_tasktree import TaskTree
from django_tasktree.models import Lease, NodeRun
from tests import services
from tests.databases import active
from tests.faults.crowd import QUICK, assert_survived, crowd, pause, seeded_random, wide_and_deep_tree
from tests.faults.private_servers import PrivateRabbitMQ, PrivateRedis, private, private_postgresql
from tests.patience import PATIENCE, until
from tests.sample.tasks import wait_for_file

pytestmark = [
    pytest.mark.worker,
    pytest.mark.django_db(transaction=True, databases="__all__"),
]

NODES = 600


@pytest.mark.parametrize("server_class", [PrivateRedis, PrivateRabbitMQ], ids=["redis", "rabbitmq"])
def test_the_broker_is_emptied_and_killed(app, server_class):
    choose = seeded_random()
    services.need(services.POSTGRESQL)
    with private(server_class) as server, crowd(app, "postgresql", server.service, "broker-outage") as workers:
        workers.start(2)
        result = wide_and_deep_tree(NODES).apply_async()
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
def test_the_database_is_restarted_and_disconnected(app, broker, seconds):
    choose = seeded_random()
    services.need(services.POSTGRESQL)
    with private_postgresql() as server, active(server.alias), crowd(app, server.alias, broker, "db-outage") as workers:
        workers.start(2)
        result = wide_and_deep_tree(NODES).apply_async()
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


def test_the_database_is_unavailable_for_longer_than_the_time_for_lost_workers(app, tmp_path):
    """The worker that reconnects first does not regard the others as lost: their tasks continue, none runs twice."""
    services.need(services.POSTGRESQL, services.REDIS)
    with (
        private_postgresql() as server,
        active(server.alias),
        crowd(app, server.alias, services.REDIS, "silence", concurrency=1) as workers,
    ):
        workers.start(3)
        tree = TaskTree()
        for _ in range(3):
            tree.add_task(wait_for_file, [str(tmp_path / "go")], on_worker_lost="fail")
        result = tree.apply_async()
        until(lambda: result.progress().by_state.get("STARTED") == 3)
        server.stop()
        pause(2 * QUICK["WORKER_LOST_AFTER"])
        server.start()
        server.connect_again()
        # Wait for sweeps after every worker has sent a heartbeat again.
        for _ in range(3):
            held = Lease.objects.get().until
            until(lambda held=held: Lease.objects.get().until > held)
        assert result.progress().by_state == {"STARTED": 3}
        (tmp_path / "go").touch()
        assert result.wait(PATIENCE) == "SUCCESS"
        assert set(NodeRun.objects.filter(run_id=result.id).values_list("attempts", flat=True)) == {1}
