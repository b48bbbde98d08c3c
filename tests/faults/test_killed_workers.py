"""Pool processes and whole workers are killed again and again; the run ends, and each write is there exactly once."""

import pytest

from django_tasktree.models import NodeAttempt
from tests import services
from tests.faults.crowd import a_generator, a_tree_of, assert_survived, crowd, pause

pytestmark = [
    pytest.mark.worker,
    pytest.mark.django_db(transaction=True, databases="__all__"),
]

#: How large the run is, and how often something is killed.
STACKS = {
    "postgresql-redis": ("postgresql", services.REDIS, 2000, 8),
    "postgresql-rabbitmq": ("postgresql", services.RABBITMQ, 2000, 8),
    "mariadb-redis": ("mariadb", services.REDIS, 300, 3),
    "sqlite-filesystem": ("default", services.FILESYSTEM, 300, 3),
}


@pytest.mark.parametrize("stack", list(STACKS))
def test_kill_kill_kill(app, stack):
    alias, broker, nodes, kills = STACKS[stack]
    choose = a_generator()
    with crowd(app, alias, broker, f"kills-{stack}") as workers:
        workers.start(2)
        result = a_tree_of(nodes).apply_async()
        number = 0
        while number < kills or not lost_attempts():
            number += 1
            if result.ready():
                # On a fast machine it may end between two kills: no attempt was lost, so that nothing is shown yet.
                assert_survived(result)
                result = a_tree_of(nodes).apply_async()
            pause(choose.uniform(0.2, 0.6))
            if number % 2:
                workers.kill_a_worker(choose)
            else:
                workers.kill_a_pool_process(choose)
            workers.replace_lost()
        assert_survived(result)


def lost_attempts():
    return NodeAttempt.objects.filter(outcome="LOST").count()
