"""A pool of database connections in a prefork worker: no fork inherits the sessions of its parent."""

import pytest

from django_tasktree import TaskTree
from django_tasktree.models import Worker
from tests import services
from tests.faults.crowd import crowd
from tests.patience import PATIENCE, until
from tests.sample.tasks import echo

pytestmark = [
    pytest.mark.worker,
    pytest.mark.django_db(transaction=True, databases="__all__"),
]


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_heartbeats_continue_through_many_forks(app, pool):
    environment = {"TEST_POOL": "1", "TEST_CHILDREN": "1"}
    with crowd(app, "postgresql", services.REDIS, "pooled", environment=environment, pool=pool) as workers:
        workers.start()
        tree = TaskTree()
        for number in range(20):
            tree.add_task(echo, [number])
        result = tree.apply_async()
        assert result.wait(PATIENCE) == "SUCCESS"
        for _ in range(3):
            last = Worker.objects.get().last_seen
            until(lambda last=last: Worker.objects.get().last_seen > last)
        assert workers.logged("failed") == 0
