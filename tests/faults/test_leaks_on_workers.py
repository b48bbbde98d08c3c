"""Task functions that leave transactions open block neither their worker nor its heartbeat nor other runs."""

import pytest

from django_tasktree import TaskTree
from django_tasktree.models import NodeRun, Worker
from tests import services
from tests.faults.crowd import crowd
from tests.patience import PATIENCE, until
from tests.sample import leaks
from tests.sample.models import Effect

pytestmark = [
    pytest.mark.worker,
    pytest.mark.django_db(transaction=True, databases="__all__"),
]
STACKS = [("postgresql", services.REDIS), ("mariadb", services.RABBITMQ)]


def last_heartbeat(hostname):
    """Return the time of the last heartbeat of a worker."""
    return Worker.objects.filter(hostname=hostname).values_list("last_seen", flat=True).first()


@pytest.mark.parametrize("pool", ["prefork", "threads", "solo"])
@pytest.mark.parametrize(("alias", "broker"), STACKS, ids=["postgresql-redis", "mariadb-rabbitmq"])
def test_a_worker_continues_after_leaked_transactions(app, alias, broker, pool):
    with crowd(app, alias, broker, "leaks", pool=pool, concurrency=1) as workers:
        workers.start()
        if pool != "solo":
            # Celery's result backend fails in the open transaction, which would stop the solo pool.
            for way in leaks.WAYS:
                leaks.leak_outside_trees.delay(way)
        tree = TaskTree()
        leaking = [tree.add_task(leaks.leak, [way]) for way in leaks.WAYS]
        kept = [node.add_task(leaks.write, run_when="failure") for node in leaking]
        other = TaskTree()
        other.add_task(leaks.write)
        result, other_result = tree.apply_async(), other.apply_async()
        assert result.wait(PATIENCE) == "FAILURE"
        assert other_result.wait(PATIENCE) == "SUCCESS"
        assert {result[node].node.error_type for node in leaking} == {"django_tasktree.exceptions.TransactionLeftOpen"}
        assert {result[node].state for node in kept} == {"SUCCESS"}
        assert set(NodeRun.objects.values_list("attempts", flat=True)) == {1}
        assert Effect.objects.filter(note="lost").count() == 0
        assert Effect.objects.filter(note="kept").count() == len(kept) + 1
        name = workers.workers[0].hostname
        last = last_heartbeat(name)
        until(lambda: last_heartbeat(name) > last)
