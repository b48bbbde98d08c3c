"""What a worker holds is its own: copies of a message end no body, and the sweep sends nothing again that is held."""

import pytest

from django_tasktree import TaskTree
from django_tasktree.engine.moves import nodes
from django_tasktree.engine.specs import DISPATCH_COLUMNS, Dispatch
from django_tasktree.models import Lease, NodeRun, Worker
from django_tasktree.worker.follow import publish_now
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
    publish_now(handle.node.run_id, [Dispatch(*nodes().values_list(*DISPATCH_COLUMNS).get(id=handle.id))])


def beats(workers, times):
    """Wait for so many heartbeats of the only worker."""
    for _ in range(times):
        last = Worker.objects.get().last_seen
        until(lambda last=last: Worker.objects.get().last_seen > last)


def sweeps(workers, times):
    for _ in range(times):
        last = Lease.objects.values_list("until", flat=True).first()
        until(lambda last=last: Lease.objects.values_list("until", flat=True).first() != last)


@pytest.mark.parametrize("pool", ["prefork", "threads"])
@pytest.mark.parametrize("broker", BROKERS, ids=["redis", "rabbitmq"])
@pytest.mark.parametrize("task", [wait_for_file, wait_for_file_acks_late], ids=["early", "late"])
def test_a_copy_in_the_same_worker_does_not_end_the_body(app, tmp_path, broker, pool, task):
    with crowd(app, "postgresql", broker, "copies", {"SWEEP": False}, pool=pool) as workers:
        workers.start()
        tree = TaskTree()
        node = tree.add_task(task, [str(tmp_path / "go")], on_worker_lost="fail")
        result = tree.apply_async()
        handle = result[node]
        until(lambda: handle.state == "STARTED")
        send_again(handle)
        until(lambda: workers.deliveries(handle.node.task_id) == 2)
        beats(workers, 5)
        assert handle.state == "STARTED"
        (tmp_path / "go").touch()
        assert result.wait(PATIENCE) == "SUCCESS"
        assert handle.node.attempts == 1


def test_a_body_can_be_terminated_after_a_copy_has_ended(app, tmp_path):
    with crowd(app, "postgresql", services.REDIS, "terminated", {"SWEEP": False}) as workers:
        workers.start()
        tree = TaskTree()
        node = tree.add_task(wait_for_file, [str(tmp_path / "go")])
        result = tree.apply_async()
        handle = result[node]
        until(lambda: handle.state == "STARTED")
        send_again(handle)
        until(lambda: workers.logged("duplicate, void or early") == 1)
        beats(workers, 2)
        result.revoke(terminate=True)
        until(lambda: workers.logged("Terminating") + workers.logged("Terminated") > 0)
        assert result.wait(PATIENCE) == "REVOKED"


@pytest.mark.parametrize("broker", BROKERS, ids=["redis", "rabbitmq"])
def test_prefetched_messages_are_not_sent_again(app, tmp_path, broker):
    """One process works for a long time, and what the worker has fetched for it waits."""
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
        beats(workers, 4)
        sweeps(workers, 8)
        assert [workers.deliveries(key) for key in keys] == [1] * 4
        for number in range(4):
            (tmp_path / f"go-{number}").touch()
        assert result.wait(PATIENCE) == "SUCCESS"
        assert set(rows.values_list("attempts", "resent")) == {(1, 0)}
        until(lambda: Worker.objects.get().holds == [])
