"""Messages that a worker holds: a copy does not end the task, and the sweep does not send them again."""

import pytest

from django_tasktree import TaskTree
from django_tasktree.dispatch.after_commit import publish_now
from django_tasktree.engine.transitions import nodes
from django_tasktree.engine.types import DISPATCH_COLUMNS, Dispatch
from django_tasktree.models import Lease, NodeRun, Worker
from tests import services
from tests.faults.crowd import crowd
from tests.patience import PATIENCE, until
from tests.sample.tasks import wait_for_file, wait_for_file_acks_late

pytestmark = [
    pytest.mark.worker,
    pytest.mark.django_db(transaction=True, databases="__all__"),
]
BROKERS = [services.REDIS, services.RABBITMQ]


def send_again(handle):
    """Send the message of a node's attempt once more, as a broker may."""
    publish_now(handle.node.run_id, [Dispatch.of_columns(nodes().values_list(*DISPATCH_COLUMNS).get(id=handle.id))])


def wait_for_heartbeats(workers, times):
    """Wait for a number of heartbeats of the only worker."""
    for _ in range(times):
        last = Worker.objects.get().last_seen
        until(lambda last=last: Worker.objects.get().last_seen > last)


def wait_for_sweeps(workers, times):
    """Wait for a number of sweeps."""
    for _ in range(times):
        last = Lease.objects.values_list("until", flat=True).first()
        until(lambda last=last: Lease.objects.values_list("until", flat=True).first() != last)


@pytest.mark.parametrize("pool", ["prefork", "threads"])
@pytest.mark.parametrize("broker", BROKERS, ids=["redis", "rabbitmq"])
@pytest.mark.parametrize("task", [wait_for_file, wait_for_file_acks_late], ids=["early", "late"])
def test_a_copy_in_the_same_worker_does_not_end_the_task(app, tmp_path, broker, pool, task):
    with crowd(app, "postgresql", broker, "copies", {"SWEEP": False}, pool=pool) as workers:
        workers.start()
        tree = TaskTree()
        node = tree.add_task(task, [str(tmp_path / "go")], on_worker_lost="fail")
        result = tree.apply_async()
        handle = result[node]
        until(lambda: handle.state == "STARTED")
        send_again(handle)
        until(lambda: workers.deliveries(handle.node.task_id) == 2)
        wait_for_heartbeats(workers, 5)
        assert handle.state == "STARTED"
        (tmp_path / "go").touch()
        assert result.wait(PATIENCE) == "SUCCESS"
        assert handle.node.attempts == 1


def test_a_task_can_be_terminated_after_a_copy_has_ended(app, tmp_path):
    with crowd(app, "postgresql", services.REDIS, "terminated", {"SWEEP": False}) as workers:
        workers.start()
        tree = TaskTree()
        node = tree.add_task(wait_for_file, [str(tmp_path / "go")], share_message=False)
        result = tree.apply_async()
        handle = result[node]
        until(lambda: handle.state == "STARTED")
        send_again(handle)
        until(lambda: workers.logged("duplicate, out of date or too early") == 1)
        wait_for_heartbeats(workers, 2)
        result.revoke(terminate=True)
        until(lambda: workers.logged("Terminating") + workers.logged("Terminated") > 0)
        assert result.wait(PATIENCE) == "REVOKED"


@pytest.mark.parametrize("broker", BROKERS, ids=["redis", "rabbitmq"])
def test_prefetched_messages_are_not_sent_again(app, tmp_path, broker):
    """The only process of the pool is busy for a long time, while prefetched messages wait for it."""
    quick = {"RESEND_AFTER": 1, "SWEEP_INTERVAL": 0.2}
    with crowd(app, "postgresql", broker, "prefetched", quick, concurrency=1) as workers:
        workers.start()
        tree = TaskTree()
        for number in range(4):
            tree.add_task(wait_for_file, [str(tmp_path / f"go-{number}")])
        result = tree.apply_async()
        rows = NodeRun.objects.filter(run_id=result.id)
        keys = [str(key) for key in rows.values_list("task_id", flat=True)]
        until(lambda: set(keys) == set(Worker.objects.get().holds))
        wait_for_heartbeats(workers, 4)
        wait_for_sweeps(workers, 8)
        assert [workers.deliveries(key) for key in keys] == [1] * 4
        for number in range(4):
            (tmp_path / f"go-{number}").touch()
        assert result.wait(PATIENCE) == "SUCCESS"
        assert set(rows.values_list("attempts", "resend_count")) == {(1, 0)}
        until(lambda: Worker.objects.get().holds == [])
