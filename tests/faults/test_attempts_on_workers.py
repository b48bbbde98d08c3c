"""Attempts on real prefork workers end in the right state of the node, with a readable error."""

from datetime import timedelta

import pytest
from celery import shared_task
from django.utils import timezone

from django_tasktree import TaskTree, task_with_callbacks
from django_tasktree.exceptions import NodeFailed, NodeNotRun
from django_tasktree.models import NodeAttempt, NodeRun
from tests.patience import PATIENCE
from tests.sample import tasks
from tests.sample.tasks import CustomError

pytestmark = pytest.mark.worker


@task_with_callbacks(name="tests.only_here")
def only_here():
    """Do nothing: a task that only this process knows, because workers do not import tests."""


def run(task, *args, **options):
    """Run one node with a child for each outcome; return its row, the children that ran, the run's state and handle."""
    tree = TaskTree()
    node = tree.add_task(task, list(args), **options)
    after = {when: node.add_task(tasks.echo, [when], run_when=when) for when in ("success", "failure", "always")}
    result = tree.apply_async()
    state = result.wait(PATIENCE)
    ran = {when for when, child in after.items() if result[child].successful()}
    return result[node].node, ran, state, result[node]


def test_success(stack):
    row, ran, state, _ = run(tasks.add, 1, 2)
    assert (row.state, row.result, ran, state) == ("SUCCESS", "3", {"success", "always"}, "SUCCESS")
    assert row.worker == stack.hostname


def test_failure_reraises_the_exception_of_the_task(stack):
    row, ran, state, handle = run(tasks.fail, "no luck")
    assert (row.state, ran, state) == ("FAILURE", {"failure", "always"}, "FAILURE")
    assert row.error_type == "tests.sample.tasks.CustomError"
    with pytest.raises(CustomError, match="no luck") as caught:
        handle.get(PATIENCE)
    assert "in fail" in str(caught.value.__cause__)
    assert isinstance(handle.get(propagate=False), CustomError)


def test_retry(stack):
    row, _, state, _ = run(tasks.flaky, 2)
    assert (row.state, row.attempts, row.result, state) == ("SUCCESS", 3, '"done"', "SUCCESS")
    log = NodeAttempt.objects.filter(node=row).order_by("number")
    assert [(a.number, a.outcome, a.error_message) for a in log] == [(1, "RETRY", "try 0"), (2, "RETRY", "try 1")]
    assert len({row.task_id, *(attempt.task_id for attempt in log)}) == 3


def test_retries_that_run_out(stack):
    row, ran, _, _ = run(tasks.flaky, 99)
    assert (row.state, row.attempts, row.error_message) == ("FAILURE", 4, "try 3")
    assert ran == {"failure", "always"}


def test_autoretry(stack):
    row, _, _, _ = run(tasks.auto_flaky, 1)
    assert (row.state, row.attempts) == ("SUCCESS", 2)


def test_autoretry_that_runs_out(stack):
    row, _, _, _ = run(tasks.auto_flaky, 99)
    assert (row.state, row.attempts, row.error_type) == ("FAILURE", 3, "tests.sample.tasks.CustomError")


def test_retry_without_throw(stack):
    row, _, _, _ = run(tasks.quiet_retry)
    assert (row.state, row.attempts, row.result) == ("SUCCESS", 2, "1")


def test_a_retry_raised_directly(stack):
    row, ran, _, _ = run(tasks.raises_retry_itself)
    assert (row.state, ran) == ("FAILURE", {"failure", "always"})
    assert "call self.retry()" in row.error_message


def test_ignore(stack):
    row, ran, state, handle = run(tasks.ignore)
    assert (row.state, ran, state) == ("SKIPPED", set(), "SUCCESS")
    assert row.error_message == "the task function raised Ignore: not now"
    with pytest.raises(NodeNotRun, match="not now"):
        handle.get()


def test_reject(stack):
    row, ran, _, _ = run(tasks.reject)
    assert (row.state, ran) == ("FAILURE", {"failure", "always"})
    assert row.error_message == "the task function rejected its message: unwanted"


def test_reject_and_requeue(stack, tmp_path):
    row, _, _, _ = run(tasks.reject, str(tmp_path / "once"))
    assert (row.state, row.attempts, row.result) == ("SUCCESS", 2, '"accepted"')
    assert NodeAttempt.objects.get(node=row).outcome == "REJECTED"


def test_a_soft_time_limit(stack):
    row, ran, _, _ = run(tasks.sleep, 30, soft_time_limit=1, time_limit=20)
    assert (row.state, ran) == ("FAILURE", {"failure", "always"})
    assert row.error_type.endswith("SoftTimeLimitExceeded")


@pytest.mark.parametrize("task", [tasks.sleep, tasks.sleep_acks_late], ids=["acks early", "acks late"])
def test_a_hard_time_limit(stack, task):
    row, ran, state, _ = run(task, 30, time_limit=1)
    assert (row.state, ran, state) == ("FAILURE", {"failure", "always"}, "FAILURE")
    assert (row.error_type.rpartition(".")[2], row.attempts) == ("TimeLimitExceeded", 1)


@pytest.mark.parametrize("task", [tasks.sleep, tasks.sleep_acks_late], ids=["acks early", "acks late"])
def test_a_hard_time_limit_of_a_node_that_shares_a_message(stack, task):
    """It fails this node only: its child runs, and the result of the message's own node is kept."""
    from django_celery_results.models import TaskResult

    tree = TaskTree()
    first = tree.add_task(task, [0], time_limit=5)
    hanging = first.add_task(task, [60], time_limit=5)
    after = hanging.add_task(tasks.echo, ["after"], run_when="failure")
    result = tree.apply_async()
    assert result.wait(PATIENCE) == "FAILURE"
    row, own = result[hanging].node, result[first].node
    assert (row.state, row.error_type.rpartition(".")[2], row.attempts) == ("FAILURE", "TimeLimitExceeded", 1)
    # None: the first node took longer than the time of a message.
    assert row.carried_by in (own.task_id, None)
    assert (own.state, result[after].state) == ("SUCCESS", "SUCCESS")
    assert TaskResult.objects.using(row._state.db).get(task_id=str(own.task_id)).status == "SUCCESS"


def test_an_attempt_in_a_killed_pool_process_is_repeated(stack, tmp_path):
    row, _, _, _ = run(tasks.kill_own_process, str(tmp_path / "marker"))
    assert (row.state, row.attempts, row.result) == ("SUCCESS", 2, '"survived"')
    lost = NodeAttempt.objects.get(node=row)
    assert lost.outcome == "LOST"
    assert "signal 9" in lost.error_message


def test_a_node_that_keeps_killing_its_process_fails(stack):
    row, ran, _, _ = run(tasks.kill_own_process)
    assert (row.state, row.attempts, ran) == ("FAILURE", 3, {"failure", "always"})
    assert row.error_type.endswith("WorkerLostError")
    assert "delivery 3 of 3" in row.error_message


def test_a_killed_task_that_must_not_run_twice_fails_immediately(stack):
    row, _, _, _ = run(tasks.kill_own_process_once)
    assert (row.state, row.attempts) == ("FAILURE", 1)


def test_sys_exit_in_a_task_function(stack):
    row, ran, _, _ = run(tasks.leave)
    assert (row.state, ran) == ("FAILURE", {"failure", "always"})


def test_an_unserializable_result(stack):
    row, ran, _, handle = run(tasks.unserializable)
    assert (row.state, ran) == ("FAILURE", {"failure", "always"})
    assert "function" in row.error_message
    assert handle.failed()


def test_a_task_that_no_worker_knows(stack):
    row, ran, state, handle = run(only_here)
    assert (row.state, ran, state) == ("FAILURE", {"failure", "always"}, "FAILURE")
    assert "'tests.only_here' is not registered on worker" in row.error_message
    with pytest.raises((NodeFailed, Exception), match="not registered"):
        handle.get()


def test_an_expired_message(stack):
    row, _, state, _ = run(tasks.echo, 1, expires=timezone.now() - timedelta(seconds=5))
    assert (row.state, state) == ("REVOKED", "FAILURE")
    assert "expired" in row.error_message


def test_a_countdown(stack):
    row, _, _, _ = run(tasks.echo, 1, countdown=1)
    assert row.state == "SUCCESS"
    assert row.started_at - row.queued_at >= timedelta(seconds=0.9)


def test_a_task_that_adds_nodes(stack):
    tree = TaskTree()
    tree.add_task(tasks.grow, [2, 3])
    result = tree.apply_async()
    assert result.wait(PATIENCE) == "SUCCESS"
    # Two, four and eight nodes below the first, and a gather node under each node with children.
    assert result.progress().total == 1 + 2 + 4 + 8 + 7
    assert NodeRun.objects.get(parent=result.children[0].id, is_gather=True).result == "15"


def test_a_failed_task_adds_no_nodes(stack):
    row, _, _, _ = run(tasks.grow_and_fail)
    assert row.state == "FAILURE"
    assert NodeRun.objects.filter(parent=row).count() == 3


def test_stop_propagation(stack):
    row, ran, state, _ = run(tasks.stop, "enough")
    assert (row.state, row.result, ran, state) == ("SUCCESS", '"enough"', set(), "SUCCESS")


def test_ignore_result(stack):
    from django_celery_results.models import TaskResult

    row, _, _, handle = run(tasks.echo, {"kept": 1}, ignore_result=True)
    assert handle.get() == {"kept": 1}
    assert not TaskResult.objects.using(row._state.db).filter(task_id=str(row.task_id)).exists()


def test_a_task_that_calls_other_tasks(stack):
    """A call inside a task function, even of the same task, does not affect the node."""
    row, _, _, _ = run(tasks.calls_itself, 3)
    assert (row.state, row.result, row.attempts) == ("SUCCESS", "6", 1)


def test_a_third_party_task_is_refused():
    @shared_task(name="tests.foreign")
    def foreign():
        pass

    with pytest.raises(TypeError, match=r"task_cls=\"django_tasktree:CallbackTask\""):
        TaskTree().add_task(foreign)
