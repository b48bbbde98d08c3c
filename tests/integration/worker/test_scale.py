"""Deep and wide trees on a real prefork worker, whose memory use stays constant.

The rows of most nodes are finished beforehand, because a worker would need many minutes for them. The worker executes
the rest among all these rows.
"""

import time

import psutil
import pytest
from django.db import connections

from django_tasktree import TaskTree
from django_tasktree.models import NodeRun
from tests.patience import PATIENCE
from tests.sample.tasks import count_objects, echo

pytestmark = [
    pytest.mark.worker,
    pytest.mark.long,
    pytest.mark.parametrize("stack", ["postgresql-redis"], indirect=True),
]
#: In bytes. Caches fill up once, and the heap is fragmented; larger leaks per node exceed it.
ALLOWED_GROWTH = 24 * 2**20
#: In each process. Caches take some hundred once; one object that is kept for each node exceeds it.
ALLOWED_OBJECTS = 1_200


def memory(worker):
    """Return the resident memory of each process of a worker, in bytes."""
    parent = psutil.Process(worker.process.pid)
    return {process.pid: process.memory_info().rss for process in [parent, *parent.children(recursive=True)]}


def watch(worker, result, finished, total):
    """Wait for the end of a run; return the memory after a fifth of the nodes to execute and at the end."""
    early, some = None, finished + (total - finished) // 5
    while not result.ready():
        time.sleep(0.5)
        if early is None and NodeRun.objects.filter(run_id=result.id, state="SUCCESS").count() > some:
            early = memory(worker)
    return early, memory(worker)


def check(stack, draft, finished, total):
    """Execute a draft and check its rows and the growth of the worker's memory."""
    objects = warm_up()
    draft.launch()
    early, late = watch(stack, draft, finished, total)
    assert draft.state == "SUCCESS"
    assert draft.progress().by_state == {"SUCCESS": total}
    assert NodeRun.objects.filter(run_id=draft.id, settled=False).count() == 0
    assert NodeRun.objects.filter(run_id=draft.id, attempts=1).count() == total
    assert early is not None
    growth = {pid: late[pid] - early[pid] for pid in late if pid in early}
    assert growth
    assert max(growth.values()) < ALLOWED_GROWTH, growth
    kept = {pid: number - objects[pid] for pid, number in count_in_processes().items() if pid in objects}
    assert kept
    assert max(kept.values()) < ALLOWED_OBJECTS, kept


def warm_up():
    """Fill the caches of each process; return the numbers of objects."""
    tree = TaskTree()
    root = tree.add_task(echo)
    for number in range(200):
        root.add_task(echo, [number], ignore_result=True)
    root.gather(echo)
    assert tree.apply_async().wait(PATIENCE) == "SUCCESS"
    return count_in_processes()


def count_in_processes():
    """Return the number of objects of each process of the worker's pool that got one of the tasks, by its PID.

    Collecting garbage also copies all memory pages that a process shares with its parent.
    """
    tree = TaskTree()
    for _ in range(12):
        tree.add_task(count_objects)
    return dict(tree.apply_async().join(PATIENCE))


def finish(nodes, **values):
    """Mark nodes of a draft as if a worker had executed them."""
    return nodes.update(state="SUCCESS", runnable=False, attempts=1, **values)


def test_a_canvas_chain_of_ten_thousand_tasks(stack):
    """The last node settles ten thousand levels."""
    tasks = [echo.si(number).set(ignore_result=True) for number in range(10_000)]  # type: ignore[call-arg]
    # In its JSON form, because Celery 5.5 copies the whole chain for each task that is added.
    canvas = {"task": "celery.chain", "subtask_type": "chain", "kwargs": {"tasks": tasks}}
    draft = TaskTree.from_canvas(canvas).apply_async(draft=True)
    chain = NodeRun.objects.filter(run_id=draft.id)
    next_one = chain.order_by("id")[8_500].id
    assert finish(chain.filter(id__lt=next_one)) == 8_500
    chain.filter(id=next_one).update(runnable=True)
    check(stack, draft, 8_500, 10_000)


def test_fifty_thousand_children_under_one_gather_node(stack):
    tree = TaskTree()
    root = tree.add_task(echo)
    for number in range(50_000):
        root.add_task(echo, [number], ignore_result=True)
    gather = root.gather(echo, ["gathered"])
    draft = tree.apply_async(draft=True)
    finish(NodeRun.objects.filter(id=draft[root].id))
    children = NodeRun.objects.filter(parent=draft[root].id, is_gather=False)
    finish(children.filter(position__lt=44_000), settled=True)
    assert children.filter(position__gte=44_000).update(runnable=True) == 6_000
    check(stack, draft, 44_001, 50_002)
    assert draft[gather].get() == "gathered"
    connections["postgresql"].close()
