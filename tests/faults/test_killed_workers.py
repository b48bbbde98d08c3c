"""Pool processes and workers are killed repeatedly: the run ends, and each row is written exactly once."""

import pytest

from django_tasktree.models import NodeAttempt
from tests import services
from tests.faults.crowd import assert_survived, crowd, pause, seeded_random, wide_and_deep_tree

pytestmark = [
    pytest.mark.worker,
    pytest.mark.django_db(transaction=True, databases="__all__"),
]

#: Database, broker, number of nodes and number of kills.
STACKS = {
    "postgresql-redis": ("postgresql", services.REDIS, 2000, 8),
    "postgresql-rabbitmq": ("postgresql", services.RABBITMQ, 2000, 8),
    "mariadb-redis": ("mariadb", services.REDIS, 300, 3),
    "sqlite-filesystem": ("default", services.FILESYSTEM, 300, 3),
}


@pytest.mark.parametrize("stack", list(STACKS))
def test_a_run_survives_killed_workers(app, stack):
    alias, broker, nodes, kills = STACKS[stack]
    choose = seeded_random()
    with crowd(app, alias, broker, f"kills-{stack}") as workers:
        workers.start(2)
        result = wide_and_deep_tree(nodes).apply_async()
        number = 0
        while number < kills or not lost_attempts():
            number += 1
            if result.ready():
                # On a fast machine, the run may end between two kills, before an attempt was lost.
                assert_survived(result)
                result = wide_and_deep_tree(nodes).apply_async()
            pause(choose.uniform(0.2, 0.6))
            if number % 2:
                workers.kill_a_worker(choose)
            else:
                workers.kill_a_pool_process(choose)
            workers.replace_lost()
        assert_survived(result)


def lost_attempts():
    return NodeAttempt.objects.filter(outcome="LOST").count()
