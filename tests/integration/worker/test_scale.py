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
from tests.sample.tasks import collect_garbage, echo

pytestmark = [
    pytest.mark.worker,
    pytest.mark.long,
    pytest.mark.parametrize("stack", ["postgresql-redis"], indirect=True),
]
#: Caches of a pool process fill up once; a leak of the text of one row per node would be larger.
ALLOWED_GROWTH = 6 * 2**20


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
    warm_up()
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


def warm_up():
    """Collect garbage in each process, which copies all memory pages that it shares with its parent."""
    tree = TaskTree()
    for _ in range(12):
        tree.add_task(collect_garbage)
    assert tree.apply_async().wait(PATIENCE) == "SUCCESS"


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
