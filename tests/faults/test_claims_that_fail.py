"""A failed claim leaves its node queued: the task has not run, so it has not failed."""

import pytest
from django.db import InterfaceError, OperationalError, connections
from django_celery_results.backends.database import DatabaseBackend

from django_tasktree import TaskTree
from django_tasktree.models import NodeRun, Worker
from tests import services, simulation
from tests.databases import active, active_alias
from tests.faults.crowd import crowd
from tests.faults.private_servers import private_postgresql
from tests.patience import PATIENCE, until
from tests.sample.tasks import echo, sleep_acks_late


@pytest.fixture
def world(database, app, settings):
    settings.TASKTREE = {"DATABASE_RETRY_FOR": 0}
    with simulation.simulated(app, "claims") as world:
        world.start_worker("w")
        yield world


@pytest.mark.parametrize("error", [OperationalError, InterfaceError])
@pytest.mark.parametrize("task", [echo, sleep_acks_late], ids=["early", "late"])
def test_a_node_whose_claim_fails_stays_queued(world, monkeypatch, task, error):
    """The result backend fails too, so Celery cannot store an error either."""
    tree = TaskTree()
    node = tree.add_task(task, [0], on_worker_lost="fail")
    result = tree.apply_async()

    def refuse(*_args, **_options):
        raise error("the connection is broken")

    def execute(execute, sql, params, many, context):
        return refuse() if "attempts = attempts + 1" in sql else execute(sql, params, many, context)

    connection = connections[active_alias()]
    with monkeypatch.context() as patch, connection.execute_wrapper(execute):
        patch.setattr(DatabaseBackend, "_store_result", refuse)
        for message in world.receive_all():
            world.deliver(message, "w")
    row = result[node].node
    assert (row.state, row.attempts, row.error_type) == ("QUEUED", 0, "")
    assert world.recover(lambda: result.state == "SUCCESS")
    assert result[node].node.attempts == 1


@pytest.mark.worker
@pytest.mark.django_db(transaction=True, databases="__all__")
@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_the_database_is_unavailable_for_longer_than_claims_are_retried(app, pool):
    """Nodes whose messages the workers have already received become due during the outage."""
    services.need(services.POSTGRESQL, services.REDIS)
    impatient = {"DATABASE_RETRY_FOR": 0.2}
    with (
        private_postgresql() as server,
        active(server.alias),
        crowd(app, server.alias, services.REDIS, "claims", settings=impatient, pool=pool) as workers,
    ):
        workers.start()
        tree = TaskTree()
        for number in range(6):
            tree.add_task(echo, [number], on_worker_lost="fail", countdown=2)
        result = tree.apply_async()
        keys = [str(key) for key in NodeRun.objects.filter(run_id=result.id).values_list("task_id", flat=True)]
        until(lambda: all(workers.deliveries(key) for key in keys))
        assert Worker.objects.count() == 1
        server.stop()
        until(lambda: workers.logged("could not claim node") >= len(keys))
        server.start()
        server.connect_again()
        assert result.wait(PATIENCE) == "SUCCESS"
        assert set(NodeRun.objects.filter(run_id=result.id).values_list("attempts", flat=True)) == {1}
