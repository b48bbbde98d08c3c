"""Pool processes and workers are killed repeatedly: the run ends, and each row is written exactly once."""

import pytest
from django.db.models import Count

from django_tasktree import TaskTree
from django_tasktree.models import NodeRun
from tests import services
from tests.faults.crowd import assert_success, assert_survived, crowd, seeded_random, wide_and_deep_tree
from tests.sample.atomic_tasks import brief_effect
from tests.sample.counted_tasks import counted
from tests.sample.models import Effect

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
        workers.kill_repeatedly(
            kills, lambda: wide_and_deep_tree(nodes).apply_async(), assert_survived, choose, (0.2, 0.6)
        )


def short_tasks(nodes):
    """Build a fan-out of nodes that share messages, chains of them, and atomic nodes, which do not."""
    tree = TaskTree("short tasks")
    for number in range(nodes // 10):
        top = tree.add_task(counted, [number])
        for leaf in range(6):
            top.add_task(counted, [leaf])
        top.add_task(counted, ["above"]).add_task(counted, ["below"])
        top.add_task(brief_effect, ["atomic"])
    return tree


@pytest.mark.parametrize("stack", ["postgresql-redis", "mariadb-redis"])
def test_nodes_that_share_messages_survive_killed_workers(app, stack):
    """Outcomes are lost in the middle of a batch: those nodes run again, in an attempt of their own."""
    alias, broker, nodes, kills = STACKS[stack]
    choose = seeded_random()
    with crowd(app, alias, broker, f"shared-{stack}") as workers:
        workers.start(2)
        workers.kill_repeatedly(kills, lambda: short_tasks(nodes).apply_async(), assert_success, choose)
        rows = NodeRun.objects.all()
        assert rows.filter(carried_by__isnull=False).exists()
        executions = Effect.objects.order_by().values_list("node", "note").annotate(n=Count("*"))
        assert {n for *_, n in executions} == {1}, "an attempt has run its task function twice"
        by_task = {
            name: set(rows.filter(task=name).values_list("id", flat=True)) for name in (counted.name, brief_effect.name)
        }
        times = dict(Effect.objects.order_by().values_list("node").annotate(n=Count("*")))
        assert set(times) == by_task[counted.name] | by_task[brief_effect.name]
        assert {times[key] for key in by_task[brief_effect.name]} == {1}, "an atomic task was not executed exactly once"
