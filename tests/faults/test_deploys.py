"""Workers with old and new code side by side, and shutdowns that interrupt tasks, make no run fail."""

import signal

import pytest

from django_tasktree import TaskTree, task_with_callbacks
from django_tasktree.models import NodeAttempt, NodeRun, Worker
from tests import services
from tests.faults.crowd import crowd
from tests.patience import PATIENCE, until
from tests.sample.classes import dies_early
from tests.sample.tasks import echo, wait_for_file, wait_for_file_acks_late

pytestmark = [
    pytest.mark.worker,
    pytest.mark.django_db(transaction=True, databases="__all__"),
]
BROKERS = [services.REDIS, services.RABBITMQ]


@task_with_callbacks(name="tests.only_in_new_code")
def new_task(value):
    """Stand for the task of ``tests.sample.classes`` that only workers with new code know."""
    return value


@pytest.mark.parametrize("broker", BROKERS, ids=["redis", "rabbitmq"])
def test_a_message_for_new_code_waits_for_a_worker_with_it(app, broker):
    with crowd(app, "postgresql", broker, "deploy", {"RESEND_AFTER": 1}) as workers:
        workers.start()
        tree = TaskTree()
        node = tree.add_task(new_task, ["value"], on_worker_lost="fail")
        node.add_task(echo, ["after"])
        result = tree.apply_async()
        # Repeatedly, but not in a busy loop; and the sweep sends no second message.
        until(lambda: workers.logged("its message is sent back to the queue") >= 3)
        assert result[node].state == "QUEUED"
        assert workers.logged("its message is sent back to the queue") < 10
        workers.environment["TEST_NEW_CODE"] = "1"
        workers.start()
        assert result.wait(PATIENCE) == "SUCCESS"
        assert (result[node].get(), result[node].node.attempts) == ("value", 1)


def test_a_task_that_no_worker_knows_fails_after_a_while(app):
    with crowd(app, "postgresql", services.REDIS, "unknown", {"UNKNOWN_TASK_RETRY_FOR": 3}) as workers:
        workers.start()
        tree = TaskTree()
        node = tree.add_task(new_task, ["value"])
        result = tree.apply_async()
        assert result.wait(PATIENCE) == "FAILURE"
        row = result[node].node
        assert (row.error_type, row.attempts) == ("celery.exceptions.NotRegistered", 0)
        assert "'tests.only_in_new_code' is not registered on worker" in row.error_message
        assert workers.logged("its message is sent back to the queue") >= 2


@pytest.mark.parametrize("soft", ["0", "1"], ids=["cold", "soft"])
@pytest.mark.parametrize("task", [wait_for_file, wait_for_file_acks_late], ids=["early", "late"])
@pytest.mark.parametrize("broker", BROKERS, ids=["redis", "rabbitmq"])
def test_attempts_interrupted_by_a_shutdown_are_lost(app, tmp_path, broker, task, soft):
    environment = {"TEST_SOFT_SHUTDOWN": soft}
    with crowd(app, "postgresql", broker, "shutdown", environment=environment) as workers:
        workers.start()
        tree = TaskTree()
        again = tree.add_task(task, [str(tmp_path / "go")])
        once = tree.add_task(task, [str(tmp_path / "go")], on_worker_lost="fail")
        result = tree.apply_async()
        until(lambda: NodeRun.objects.filter(state="STARTED").count() == 2)
        worker = workers.workers.pop()
        worker.process.send_signal(signal.SIGQUIT)
        worker.process.wait(PATIENCE)
        workers.start()
        (tmp_path / "go").touch()
        assert result.wait(PATIENCE) == "FAILURE"
        assert (result[again].state, result[again].node.attempts) == ("SUCCESS", 2)
        assert NodeAttempt.objects.get(node=result[again].id).outcome == "LOST"
        row = result[once].node
        assert (row.state, row.attempts) == ("FAILURE", 1)
        assert "Terminated: 15" not in row.error_message or "Lost" in row.error_type
        assert Worker.objects.filter(pid=worker.process.pid).count() == 0


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_a_message_that_always_fails_before_its_task_fails_the_node(app, pool):
    quick = {"RESEND_AFTER": 0.5, "MAX_DELIVERIES": 2}
    with crowd(app, "postgresql", services.REDIS, "dies", quick, pool=pool) as workers:
        workers.start()
        tree = TaskTree()
        node = tree.add_task(dies_early, ["value"])
        result = tree.apply_async()
        assert result.wait(PATIENCE) == "FAILURE"
        row = result[node].node
        assert (row.error_type, row.attempts) == ("builtins.ConnectionError", 0)
        assert "Celery could not process the message (delivery 2 of 2): the result backend is away" in row.error_message
