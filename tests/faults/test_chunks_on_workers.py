"""Processes of real workers die, or exceed their time limit, while a task function runs for a chunk of nodes."""

import pytest

from django_tasktree import TaskTree
from django_tasktree.models import NodeAttempt, NodeRun
from tests import services
from tests.faults.crowd import assert_success, crowd, seeded_random
from tests.patience import PATIENCE
from tests.sample import chunk_tasks
from tests.sample.chunk_tasks import leave_effects
from tests.sample.models import Effect

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
    with crowd(app, alias, broker, f"chunks-{request.param}") as workers:
        yield workers


def fan(task, values, **options):
    tree = TaskTree()
    for value in values:
        tree.add_task(task, [value], **options)
    return tree.apply_async()


def test_all_nodes_of_a_killed_process_run_again_alone(workers, tmp_path):
    workers.start()
    result = fan(chunk_tasks.kill_once, [str(tmp_path / "once")] * 5)
    assert result.wait(PATIENCE) == "SUCCESS", result.progress()
    assert result.join() == [1] * 5
    assert NodeAttempt.objects.filter(node__run_id=result.id, outcome="LOST").count() == 5
    assert set(NodeRun.objects.filter(run_id=result.id).values_list("attempts", flat=True)) == {2}


def test_a_time_limit_is_that_of_the_call(workers):
    workers.start()
    result = fan(chunk_tasks.too_slow, [1, "slow", 2])
    assert result.wait(PATIENCE) == "FAILURE", result.progress()
    rows = NodeRun.objects.filter(run_id=result.id)
    assert {(row.state, row.error_type.rpartition(".")[2]) for row in rows} == {("FAILURE", "TimeLimitExceeded")}


def test_a_process_has_one_call_for_a_chunk(workers):
    workers.start()
    result = fan(chunk_tasks.count_values, range(95))
    assert result.wait(PATIENCE) == "SUCCESS", result.progress()
    # The results are the sizes of the calls. A message may have several calls.
    assert max(result.join()) == 10


@pytest.mark.parametrize("workers", ["postgresql-redis"], indirect=True)
def test_chunks_survive_killed_workers(workers):
    """Outcomes are lost in the middle of a chunk, and the nodes run again."""
    choose = seeded_random()
    workers.start(2)
    result = workers.kill_repeatedly(6, lambda: fan(leave_effects, range(1500)), assert_success, choose)
    assert result.join() == list(range(1500))
    assert {int(note) for note in Effect.objects.values_list("note", flat=True)} == set(range(1500))


def test_threads_run_chunks_side_by_side(app):
    with crowd(app, "postgresql", services.REDIS, "chunks-threads", pool="threads", concurrency=4) as workers:
        workers.start()
        result = fan(leave_effects, range(400))
        assert result.wait(PATIENCE) == "SUCCESS", result.progress()
        assert result.join() == list(range(400))
        assert sorted(int(note) for note in Effect.objects.values_list("note", flat=True)) == list(range(400))


@pytest.mark.parametrize("workers", ["postgresql-redis"], indirect=True)
def test_a_soft_time_limit_is_an_exception_of_the_function(workers):
    workers.start()
    result = fan(chunk_tasks.softly_too_slow, [1, "slow", 2])
    assert result.wait(PATIENCE) == "FAILURE", result.progress()
    rows = NodeRun.objects.filter(run_id=result.id)
    assert {row.error_type.rpartition(".")[2] for row in rows} == {"SoftTimeLimitExceeded"}
