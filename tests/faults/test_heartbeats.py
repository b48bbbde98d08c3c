"""The rows of real workers, of each pool: there while they live, gone when they have shut down."""

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
    service = services.BROKERS[request.param]
    services.need(service, services.POSTGRESQL)
    queue = workers.queue_of(f"hearts-{request.param}")
    with workers.use_broker(app, service, queue):
        yield service, queue
    workers.delete_queue(service, queue)


@pytest.fixture
def start(broker):
    """Start workers; whatever becomes of the test, none of them outlives it."""
    service, queue = broker
    running = []

    def start(alias, pool="prefork", concurrency=2):
        env = workers.environment(alias, service.url, queue, TEST_TASKTREE=OFTEN)
        log = workers.log_dir() / f"hearts-{pool}-{len(running)}.log"
        running.append(workers.Worker(log, env, pool, concurrency, name=f"heart{len(running)}"))
        return running[-1].wait_until_ready()

    yield start
    for worker in running:
        worker.kill()


def hearts():
    """The rows of this file's workers: those that other tests share may live on in the same database."""
    return Worker.objects.filter(hostname__startswith="heart")


def beats_go_on(row):
    """Whether three more heartbeats come."""
    for _ in range(3):
        last = Worker.objects.get(id=row.id).last_seen
        until(lambda last=last: Worker.objects.filter(id=row.id, last_seen__gt=last).exists())
    return True


@pytest.mark.parametrize(("pool", "concurrency"), POOLS)
def test_a_worker_has_a_row_from_its_start_to_its_end(broker, start, pool, concurrency):
    _, queue = broker
    with databases.active("postgresql"):
        worker = start("postgresql", pool, concurrency)
        row = until(lambda: hearts().first())
        assert (row.hostname, row.pid, row.concurrency) == (worker.hostname, worker.process.pid, concurrency)
        assert (row.queues, row.pool) == ([queue], {"threads": "thread"}.get(pool, pool))
        assert timezone.now() - row.started_at < timedelta(minutes=2)
        assert beats_go_on(row)
        tree = TaskTree()
        tree.add_task(echo, ["a"])
        result = tree.apply_async()
        assert result.wait(PATIENCE) == "SUCCESS"
        assert NodeRun.objects.get(run_id=result.id).worker_id == row.id
        worker.process.terminate()
        assert worker.process.wait(PATIENCE) is not None
        assert not hearts().exists()


@pytest.mark.parametrize(("pool", "concurrency"), POOLS)
def test_it_beats_while_its_pool_is_busy_and_while_it_shuts_down(start, pool, concurrency):
    """In the solo pool the body runs in the worker's own thread: consuming rests, the heartbeat does not."""
    with databases.active("postgresql"):
        worker = start("postgresql", pool, concurrency)
        tree = TaskTree()
        tree.add_task(sleep, [3])
        result = tree.apply_async()
        until(lambda: result.children[0].state == "STARTED")
        row = until(lambda: hearts().first())
        assert beats_go_on(row)
        worker.process.send_signal(signal.SIGTERM)
        assert beats_go_on(row)
        assert result.children[0].state == "STARTED"
        worker.process.wait(PATIENCE)
        assert (result.state, hearts().exists()) == ("SUCCESS", False)


def test_a_worker_that_is_killed_leaves_its_row(start):
    with databases.active("postgresql"):
        worker = start("postgresql")
        row = until(lambda: hearts().first())
        worker.kill()
        last = Worker.objects.get(id=row.id).last_seen
        pause(1)
        assert Worker.objects.get(id=row.id).last_seen == last


@pytest.mark.parametrize(("pool", "concurrency"), POOLS)
def test_a_database_that_is_away_stalls_nothing(start, pool, concurrency):
    """The worker consumes on, tells once that its heartbeat fails, and once that it works again."""
    with private_postgresql() as database, databases.active(database.alias):
        worker = start(database.alias, pool, concurrency)
        row = until(lambda: hearts().first())
        database.stop()
        until(lambda: "the heartbeat of this worker failed" in worker.log.read_text())
        before = worker.log.read_text().count("received")
        # Without a result: writing one would fail, and Celery's solo pool does not survive that.
        echo.apply_async(["the consumer lives"], ignore_result=True)
        until(lambda: worker.log.read_text().count("received") > before)
        pause(1)
        database.start()
        database.connect_again()
        assert beats_go_on(row)
        until(lambda: "the heartbeat of this worker works again" in worker.log.read_text())
        log = worker.log.read_text()
        assert log.count("the heartbeat of this worker failed") == log.count("the heartbeat of this worker works again")
        tree = TaskTree()
        tree.add_task(echo, ["a"])
        assert tree.apply_async().wait(PATIENCE) == "SUCCESS"
        worker.process.terminate()
        worker.process.wait(PATIENCE)
        assert not hearts().exists()
        connections[database.alias].close()


def test_a_worker_shuts_down_though_its_database_is_away(start):
    with private_postgresql() as database, databases.active(database.alias):
        worker = start(database.alias)
        database.stop()
        worker.process.terminate()
        assert worker.process.wait(PATIENCE) is not None
        database.start()
        database.connect_again()
        assert hearts().count() == 1
