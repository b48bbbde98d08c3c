"""Task functions that leave transactions open halt nothing: not their worker, not its heartbeat, no other run."""

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


def beats(hostname):
    return Worker.objects.filter(hostname=hostname).values_list("last_seen", flat=True).first()


@pytest.mark.parametrize("pool", ["prefork", "threads", "solo"])
@pytest.mark.parametrize(("alias", "broker"), STACKS, ids=["postgresql-redis", "mariadb-rabbitmq"])
def test_the_worker_goes_on(app, alias, broker, pool):
    with crowd(app, alias, broker, "leaks", pool=pool, concurrency=1) as workers:
        workers.start()
        if pool != "solo":
            # Celery's own result backend would fail in the transaction, and the solo pool does not survive that.
            for way in leaks.WAYS:
                leaks.leak_outside_trees.delay(way)
        tree = TaskTree()
        leaking = [tree.add_task(leaks.leak, [way]) for way in leaks.WAYS]
        kept = [node.add_task(leaks.write, run_when="failure") for node in leaking]
        other = TaskTree()
        other.add_task(leaks.write)
        result, beside = tree.apply_async(), other.apply_async()
        assert result.wait(PATIENCE) == "FAILURE"
        assert beside.wait(PATIENCE) == "SUCCESS"
        assert {result[node].node.error_type for node in leaking} == {"django_tasktree.exceptions.TransactionLeftOpen"}
        assert {result[node].state for node in kept} == {"SUCCESS"}
        assert set(NodeRun.objects.values_list("attempts", flat=True)) == {1}
        assert Effect.objects.filter(note="lost").count() == 0
        assert Effect.objects.filter(note="kept").count() == len(kept) + 1
        name = workers.workers[0].hostname
        last = beats(name)
        until(lambda: beats(name) > last)
