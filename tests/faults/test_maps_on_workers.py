"""Maps on real workers: processes die while children are made and while they run."""

import pytest

from django_tasktree import TaskTree
from django_tasktree.models import NodeRun
from tests import services
from tests.faults.crowd import assert_success, crowd, seeded_random
from tests.patience import PATIENCE
from tests.sample.map_tasks import halve, numbers, slow_half
from tests.sample.tasks import echo, total

pytestmark = [
    pytest.mark.worker,
    pytest.mark.django_db(transaction=True, databases="__all__"),
]

STACKS = {
    "postgresql-redis": ("postgresql", services.REDIS),
    "mariadb-rabbitmq": ("mariadb", services.RABBITMQ),
    "sqlite-filesystem": ("default", services.FILESYSTEM),
}


@pytest.fixture(params=list(STACKS))
def workers(request, app):
    """Yield the workers on a database and a broker; none has started."""
    alias, broker = STACKS[request.param]
    with crowd(app, alias, broker, f"maps-{request.param}") as workers:
        yield workers


def halves(count, task=halve, **options):
    """Launch a map of the even and odd numbers up to ``count``; return its run, the map and what gathers it."""
    tree = TaskTree()
    source = tree.add_task(numbers, [count])
    pages = source.map(task, over=source.output, **options)
    pages.each.add_task(echo, [pages.each.output])
    gathered = pages.gather(total, [pages.outputs])
    run = tree.apply_async()
    return run, run[pages], run[gathered]


def test_a_map_of_a_result(workers):
    workers.start()
    run, pages, gathered = halves(300, tolerate="50%")
    assert run.wait(PATIENCE) == "SUCCESS", run.progress()
    assert pages.get() == 300
    assert gathered.get() == sum(range(150))
    assert run.progress().by_state == {"SUCCESS": 3 + 150 + 150, "FAILURE": 150, "SKIPPED": 150}


def test_too_many_failures_stop_the_rest(workers):
    workers.start()
    run, pages, _gathered = halves(400, task=slow_half, tolerate=2, max_active=4)
    assert run.wait(PATIENCE) == "FAILURE", run.progress()
    states = run.progress().by_state
    # No more than those that were running when the third one failed.
    assert 3 <= states["FAILURE"] <= 8
    assert states["REVOKED"] > 600
    assert pages.get() == 400


@pytest.mark.parametrize("stack", ["postgresql-redis", "mariadb-rabbitmq"])
def test_a_map_survives_killed_workers(app, stack):
    """Processes die between the batches of the children, and while the children run."""
    choose = seeded_random()
    alias, broker = STACKS[stack]
    with crowd(app, alias, broker, f"killed-maps-{stack}", settings={"BATCH_SIZE": 20}) as workers:
        workers.start(2)
        run = workers.kill_repeatedly(6, lambda: doubles(1000), assert_success, choose)
        pages = run["0/0"]
        assert pages.get() == 1000
        rows = NodeRun.objects.filter(parent_id=pages.id, is_gather=False).order_by("position")
        assert list(rows.values_list("position", flat=True)) == list(range(1000))
        assert [row.result for row in rows] == [str(number) for number in range(1000)]
        assert NodeRun.objects.get(id=pages.id).child_count == 1001


def doubles(count):
    tree = TaskTree()
    source = tree.add_task(numbers, [count])
    pages = source.map(echo, over=source.output)
    pages.gather(total, [pages.outputs])
    return tree.apply_async()
