"""The rows of real workers, with each pool: present while they run, deleted when they have shut down."""

import signal
from datetime import timedelta

import pytest
from django.db import connections
from django.utils import timezone

from django_tasktree import TaskTree
from django_tasktree.models import NodeRun, Worker
from tests import databases, services, workers
from tests.faults.crowd import pause
from tests.faults.private_servers import private_postgresql
from tests.patience import PATIENCE, until
from tests.sample.tasks import echo, sleep

pytestmark = [
    pytest.mark.worker,
    pytest.mark.django_db(transaction=True, databases="__all__"),
]
OFTEN = '{"HEARTBEAT_INTERVAL": 0.2, "SWEEP": false}'
POOLS = [("prefork", 2), ("threads", 3), ("solo", 1)]


@pytest.fixture(params=["redis", "rabbitmq"])
def broker(request, app):
    """Use a broker with a queue of its own; yield both."""
    service = services.BROKERS[request.param]
    services.need(service, services.POSTGRESQL)
    queue = workers.queue_of(f"heartbeats-{request.param}")
    with workers.use_broker(app, service, queue):
        yield service, queue
    workers.delete_queue(service, queue)


@pytest.fixture
def start(broker):
    """Yield a function that starts a worker; all workers are killed after the test."""
    service, queue = broker
    running = []

    def start(alias, pool="prefork", concurrency=2):
        env = workers.environment(alias, service.url, queue, TEST_TASKTREE=OFTEN)
        log = workers.log_dir() / f"heartbeats-{pool}-{len(running)}.log"
        running.append(workers.Worker(log, env, pool, concurrency, name=f"heart{len(running)}"))
        return running[-1].wait_until_ready()

    yield start
    for worker in running:
        worker.kill()


def worker_rows():
    """Return the rows of the workers of this file, without workers of other tests in the same database."""
    return Worker.objects.filter(hostname__startswith="heart")


def heartbeats_continue(row):
    """Wait for three more heartbeats, and return True."""
    for _ in range(3):
        last = Worker.objects.get(id=row.id).last_seen
        until(lambda last=last: Worker.objects.filter(id=row.id, last_seen__gt=last).exists())
    return True


@pytest.mark.parametrize(("pool", "concurrency"), POOLS)
def test_a_worker_has_a_row_from_its_start_to_its_shutdown(broker, start, pool, concurrency):
    _, queue = broker
    with databases.active("postgresql"):
        worker = start("postgresql", pool, concurrency)
        row = until(lambda: worker_rows().first())
        assert (row.hostname, row.pid, row.concurrency) == (worker.hostname, worker.process.pid, concurrency)
        assert (row.queues, row.pool) == ([queue], {"threads": "thread"}.get(pool, pool))
        assert timezone.now() - row.started_at < timedelta(minutes=2)
        assert heartbeats_continue(row)
        tree = TaskTree()
        tree.add_task(echo, ["a"])
        result = tree.apply_async()
        assert result.wait(PATIENCE) == "SUCCESS"
        assert NodeRun.objects.get(run_id=result.id).worker_id == row.id
        worker.process.terminate()
        assert worker.process.wait(PATIENCE) is not None
        assert not worker_rows().exists()


@pytest.mark.parametrize(("pool", "concurrency"), POOLS)
def test_heartbeats_continue_while_the_pool_is_busy_and_during_shutdown(start, pool, concurrency):
    """In the solo pool, the task runs in the main thread: consuming stops, but the heartbeat continues."""
    with databases.active("postgresql"):
        worker = start("postgresql", pool, concurrency)
        tree = TaskTree()
        tree.add_task(sleep, [3])
        result = tree.apply_async()
        until(lambda: result.children[0].state == "STARTED")
        row = until(lambda: worker_rows().first())
        assert heartbeats_continue(row)
        worker.process.send_signal(signal.SIGTERM)
        assert heartbeats_continue(row)
        assert result.children[0].state == "STARTED"
        worker.process.wait(PATIENCE)
        assert (result.state, worker_rows().exists()) == ("SUCCESS", False)


def test_a_killed_worker_leaves_its_row(start):
    with databases.active("postgresql"):
        worker = start("postgresql")
        row = until(lambda: worker_rows().first())
        worker.kill()
        last = Worker.objects.get(id=row.id).last_seen
        pause(1)
        assert Worker.objects.get(id=row.id).last_seen == last


@pytest.mark.parametrize(("pool", "concurrency"), POOLS)
def test_a_worker_continues_while_the_database_is_unavailable(start, pool, concurrency):
    """The worker continues to consume, and logs once that its heartbeat fails and once that it works again."""
    with private_postgresql() as database, databases.active(database.alias):
        worker = start(database.alias, pool, concurrency)
        row = until(lambda: worker_rows().first())
        database.stop()
        until(lambda: "the heartbeat of this worker failed" in worker.log.read_text())
        before = worker.log.read_text().count("received")
        # Without a result, because writing one would fail and stop Celery's solo pool.
        echo.apply_async(["the consumer lives"], ignore_result=True)
        until(lambda: worker.log.read_text().count("received") > before)
        pause(1)
        database.start()
        database.connect_again()
        assert heartbeats_continue(row)
        until(lambda: "the heartbeat of this worker works again" in worker.log.read_text())
        log = worker.log.read_text()
        assert log.count("the heartbeat of this worker failed") == log.count("the heartbeat of this worker works again")
        tree = TaskTree()
        tree.add_task(echo, ["a"])
        assert tree.apply_async().wait(PATIENCE) == "SUCCESS"
        worker.process.terminate()
        worker.process.wait(PATIENCE)
        assert not worker_rows().exists()
        connections[database.alias].close()


def test_a_worker_shuts_down_while_its_database_is_unavailable(start):
    with private_postgresql() as database, databases.active(database.alias):
        worker = start(database.alias)
        database.stop()
        worker.process.terminate()
        assert worker.process.wait(PATIENCE) is not None
        database.start()
        database.connect_again()
        assert worker_rows().count() == 1
