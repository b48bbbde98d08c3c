"""Deep and wide trees on a real prefork worker, whose memory use stays constant."""

import time

import psutil
import pytest
from django.db import connections

from django_tasktree import TaskTree
from django_tasktree.models import NodeRun
from tests.patience import PATIENCE
from tests.sample.tasks import collect_garbage, echo

pytestmark = [pytest.mark.worker, pytest.mark.long]
STACK = pytest.mark.parametrize("stack", ["postgresql-redis"], indirect=True)
#: Caches of a pool process fill up once; a leak of the text of one row per node would be far larger.
ALLOWED_GROWTH = 24 * 2**20


def memory(worker):
    """Return the resident memory of each process of a worker, in bytes."""
    parent = psutil.Process(worker.process.pid)
    return {process.pid: process.memory_info().rss for process in [parent, *parent.children(recursive=True)]}


def watch(worker, result, total):
    """Wait for the end of a run; return the memory after a tenth of the nodes and at the end."""
    early = None
    while not result.ready():
        time.sleep(0.5)
        if early is None and NodeRun.objects.filter(run_id=result.id, state="SUCCESS").count() > total / 10:
            early = memory(worker)
    return early, memory(worker)


def check(stack, tree, total):
    """Run a tree and check its rows and the growth of the worker's memory; return the result."""
    warm_up()
    result = tree.apply_async()
    early, late = watch(stack, result, total)
    assert result.state == "SUCCESS"
    assert result.progress().by_state == {"SUCCESS": total}
    assert NodeRun.objects.filter(run_id=result.id, settled=False).count() == 0
    assert NodeRun.objects.filter(run_id=result.id, attempts=1).count() == total
    assert early is not None
    growth = {pid: late[pid] - early[pid] for pid in late if pid in early}
    assert growth
    assert max(growth.values()) < ALLOWED_GROWTH, growth
    return result


def warm_up():
    """Collect garbage in each process, which copies all memory pages that it shares with its parent."""
    tree = TaskTree()
    for _ in range(12):
        tree.add_task(collect_garbage)
    assert tree.apply_async().wait(PATIENCE) == "SUCCESS"


@STACK
def test_a_canvas_chain_of_ten_thousand_tasks(stack):
    tasks = [echo.si(number).set(ignore_result=True) for number in range(10_000)]  # type: ignore[call-arg]
    # In its JSON form, because Celery 5.5 copies the whole chain for each task that is added.
    canvas = {"task": "celery.chain", "subtask_type": "chain", "kwargs": {"tasks": tasks}}
    check(stack, TaskTree.from_canvas(canvas), 10_000)


@STACK
def test_fifty_thousand_children_under_one_gather_node(stack):
    tree = TaskTree()
    root = tree.add_task(echo)
    for number in range(50_000):
        root.add_task(echo, [number], ignore_result=True)
    gather = root.gather(echo, ["gathered"])
    result = check(stack, tree, 50_002)
    assert result[gather].get() == "gathered"
    connections["postgresql"].close()
