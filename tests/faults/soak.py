"""``make soak``: mixed trees for minutes, while workers are killed and brokers emptied; tells what was survived.

Not collected by default: ``pytest tests/faults/soak.py -s``. ``SOAK_MINUTES`` says for how long, ``TEST_SEED`` repeats.
"""

import os
import sys
import time
from collections import Counter

import pytest
from django.db.models import Count

from django_tasktree.models import NodeAttempt, NodeRun, TreeRun
from tests.faults.crowd import a_generator, a_tree_of, crowd, pause
from tests.faults.private_servers import PrivateRabbitMQ, PrivateRedis, private, private_postgresql
from tests.sample.models import Effect

pytestmark = [
    pytest.mark.worker,
    pytest.mark.timeout(0),
    pytest.mark.django_db(transaction=True, databases="__all__"),
]
MINUTES = float(os.environ.get("SOAK_MINUTES", "3"))


@pytest.mark.parametrize("server_class", [PrivateRedis, PrivateRabbitMQ], ids=["redis", "rabbitmq"])
def test_soak(app, server_class):
    choose = a_generator()
    told = Counter()
    servers = private_postgresql(), private(server_class)
    with servers[0] as database, servers[1] as broker, crowd(app, database.alias, broker.service, "soak") as workers:
        workers.start(3)
        faults = {
            "pool processes killed": lambda: workers.kill_a_pool_process(choose),
            "workers killed": lambda: workers.kill_a_worker(choose),
            "workers shut down warmly": workers.shut_down_one,
            "queues emptied": lambda: broker.empty(workers.queue),
            "brokers killed": broker.restart,
            "database connections cut": database.cut_connections,
            "databases restarted": database.restart,
        }
        started = time.monotonic()
        while time.monotonic() - started < MINUTES * 60:
            database.connect_again()
            launch(choose, told)
            pause(choose.uniform(0.5, 2))
            name = choose.choice(list(faults))
            database.connect_again()
            faults[name]()
            told[name] += 1
            workers.replace_lost(at_least=3)
        database.connect_again()
        wait_for_all(told)
        report(told, time.monotonic() - started)


def launch(choose, told):
    try:
        a_tree_of(choose.choice([20, 100, 300])).apply_async()
    except Exception as exc:
        # The launch itself fell to an outage: its caller knows, and nothing was written.
        told[f"launches refused ({type(exc).__name__})"] += 1


def wait_for_all(told):
    end = time.monotonic() + 300
    while TreeRun.objects.open().exists():
        assert time.monotonic() < end, list(TreeRun.objects.open().values("id", "state"))
        time.sleep(0.5)
    assert set(NodeRun.objects.values_list("state", flat=True)) == {"SUCCESS"}
    counts = Effect.objects.order_by().values_list("node").annotate(n=Count("*"))
    assert {number for _, number in counts} == {1}
    assert len(counts) == NodeRun.objects.count()


def report(told, seconds):
    told["runs that ended in SUCCESS"] = TreeRun.objects.count()
    told["nodes, each with its effect exactly once"] = NodeRun.objects.count()
    told["attempts lost and made again"] = NodeAttempt.objects.filter(outcome="LOST").count()
    told["messages sent again"] = sum(NodeRun.objects.values_list("resent", flat=True))
    sys.stdout.write(f"\nSurvived {seconds / 60:.1f} minutes:\n")
    for name, number in sorted(told.items()):
        sys.stdout.write(f"{number:>8,}  {name}\n")
