"""Messages that arrive twice, in any order, too late or during shutdowns: each attempt runs its task once."""

from datetime import timedelta

import pytest
from django.db.models import Count
from django.utils import timezone

from django_tasktree import TaskTree
from django_tasktree.models import NodeAttempt, NodeRun
from tests import services
from tests.faults.crowd import crowd, pause
from tests.patience import PATIENCE, until
from tests.sample import doubling
from tests.sample.counted_tasks import counted, counted_retry, counted_sleep, counted_sleep_acks_late
from tests.sample.models import Effect

pytestmark = [
    pytest.mark.worker,
    pytest.mark.django_db(transaction=True, databases="__all__"),
]


@pytest.fixture(params=["redis", "rabbitmq"])
def broker(request):
    return services.BROKERS[request.param]


def a_tree(width, retries=True):
    tree = TaskTree("deliveries")
    for number in range(width):
        top = tree.add_task(counted, [number])
        for leaf in range(5):
            top.add_task(counted, [leaf])
        if retries:
            top.add_task(counted_retry, [2]).add_task(counted, ["after"])
        top.gather(counted, ["gather"])
    return tree


def executions_by_attempt():
    """Return how often the task ran in each attempt; the note begins with the task ID of the attempt."""
    return list(Effect.objects.order_by().values_list("note").annotate(n=Count("*")).values_list("n", flat=True))


def assert_once_each(result):
    """Check that the run has succeeded and each attempt ran its task once."""
    assert result.wait(PATIENCE) == "SUCCESS"
    attempts = sum(NodeRun.objects.filter(run_id=result.id).values_list("attempts", flat=True))
    assert executions_by_attempt() == [1] * attempts


def test_every_message_twice_and_in_any_order(app, broker, monkeypatch):
    doubling.install(monkeypatch.setattr)
    with crowd(app, "postgresql", broker, "doubles", environment={"TEST_DOUBLING": "1"}) as workers:
        workers.start(2)
        result = a_tree(30).apply_async()
        assert_once_each(result)
        until(lambda: workers.deliveries(result.children[0].node.task_id) >= 2)


def test_a_task_that_runs_longer_than_the_visibility_timeout(app):
    """Redis delivers the message to another worker, which ignores it, while the first one runs the task."""
    environment = {"TEST_VISIBILITY_TIMEOUT": "1"}
    with crowd(app, "postgresql", services.REDIS, "long", environment=environment, concurrency=1) as workers:
        workers.start(2)
        tree = TaskTree()
        tree.add_task(counted_sleep_acks_late, [8])
        result = tree.apply_async()
        row = result.children[0].node
        until(lambda: workers.deliveries(row.task_id) > 1 or result.ready())
        assert not result.ready()
        assert_once_each(result)
        assert result.children[0].node.attempts == 1


def test_workers_are_redeployed_during_a_run(app, broker):
    """All workers get SIGTERM several times: no attempt is lost, and no task runs twice."""
    with crowd(app, "postgresql", broker, "deploys") as workers:
        workers.start(2)
        result = a_tree(60).apply_async()
        for _ in range(2):
            pause(0.3)
            workers.shut_down()
            workers.start(2)
        assert_once_each(result)
        assert not NodeAttempt.objects.filter(outcome="LOST").exists()


def test_a_task_that_is_longer_than_the_time_for_lost_workers_is_not_taken_over(app, broker):
    """Its worker shuts down warmly while another one sweeps: the heartbeat continues until the task has ended."""
    with crowd(app, "postgresql", broker, "warm", {"WORKER_LOST_AFTER": 2}) as workers:
        workers.start(1)
        tree = TaskTree()
        tree.add_task(counted_sleep, [6])
        result = tree.apply_async()
        until(lambda: result.children[0].state == "STARTED")
        workers.shut_down()
        workers.start(1)
        assert_once_each(result)
        assert not NodeAttempt.objects.filter(outcome="LOST").exists()


def test_retries_that_wait_in_a_worker_that_shuts_down(app, broker):
    """They are returned to the broker or sent again by the sweep: nothing is lost or duplicated."""
    with crowd(app, "postgresql", broker, "returned") as workers:
        workers.start(1)
        tree = TaskTree()
        for _ in range(5):
            tree.add_task(counted_retry, [1, 5])
        tree.add_task(counted, ["later"], eta=timezone.now() + timedelta(seconds=6))
        result = tree.apply_async()
        until(lambda: result.progress().by_state.get("RETRY") == 5)
        workers.shut_down()
        workers.start(1)
        assert_once_each(result)
        assert not NodeAttempt.objects.filter(outcome="LOST").exists()
