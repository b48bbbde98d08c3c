"""Actions on real prefork workers."""

import time
from contextlib import suppress
from datetime import timedelta

import pytest

from django_tasktree import TaskTree
from django_tasktree.exceptions import NotPossible
from django_tasktree.models import NodeRun
from tests.patience import PATIENCE, until
from tests.sample import tasks

pytestmark = pytest.mark.worker


def _wait_for(node, state):
    until(lambda: NodeRun.objects.get(id=node.id).state == state, f"{node} {state}")


def test_failed_nodes_run_again(stack, tmp_path):
    marker, log = tmp_path / "marker", tmp_path / "log"
    tree = TaskTree()
    done = tree.add_task(tasks.touch, [str(log)])
    done.add_task(tasks.needs, [str(marker)]).add_task(tasks.echo, ["after"])
    tree.gather(tasks.echo, [tree.outcomes])
    result = tree.apply_async()
    assert result.wait(PATIENCE) == "FAILURE"
    marker.touch()
    result.retry()
    assert result.wait(PATIENCE) == "SUCCESS"
    assert log.read_text() == "x\n"
    (outcome,) = result.children[1].get()
    assert (outcome["state"], outcome["result"], outcome["args"]) == ("SUCCESS", str(log), [str(log)])


def test_a_paused_run_starts_nothing_and_continues_after_a_resume(stack, tmp_path):
    gate = tmp_path / "gate"
    tree = TaskTree()
    first = tree.add_task(tasks.wait_for_file, [str(gate)])
    for _ in range(20):
        first.add_task(tasks.echo, [1])
    result = tree.apply_async()
    _wait_for(result.children[0], "STARTED")
    result.pause()
    gate.touch()
    _wait_for(result.children[0], "SUCCESS")
    assert result.progress().by_state == {"SUCCESS": 1, "PENDING": 20}
    result.resume()
    assert result.wait(PATIENCE) == "SUCCESS"


def test_no_node_is_lost_if_messages_arrive_during_a_pause(stack):
    tree = TaskTree()
    for _ in range(100):
        tree.add_task(tasks.echo, [1])
    result = tree.apply_async()
    # The last node may end the run at any moment.
    with suppress(NotPossible):
        for _ in range(5):
            result.pause()
            time.sleep(0.05)
            result.resume()
    assert result.wait(PATIENCE) == "SUCCESS"
    assert set(NodeRun.objects.filter(run_id=result.id).values_list("attempts", flat=True)) == {1}


def test_terminate_stops_a_running_task(stack):
    tree = TaskTree()
    node = tree.add_task(tasks.sleep, [300])
    node.add_task(tasks.echo, ["never"])
    result = tree.apply_async()
    _wait_for(result[node], "STARTED")
    result.revoke(terminate=True)
    assert result.state == "REVOKED"
    _wait_for(result[node], "REVOKED")
    assert result[node].children[0].state == "REVOKED"


def test_a_run_that_starts_later(stack):
    tree = TaskTree()
    tree.add_task(tasks.echo, ["late"])
    result = tree.apply_async(countdown=0.5)
    assert result.state == "DRAFT"
    assert result.wait(PATIENCE) == "SUCCESS"
    assert result.run.started_at >= result.run.eta


def test_a_deadline_ends_a_run(stack, tmp_path):
    gate = tmp_path / "gate"
    tree = TaskTree()
    tree.add_task(tasks.wait_for_file, [str(gate)]).add_task(tasks.echo, ["never"])
    result = tree.apply_async(deadline=timedelta(seconds=1))
    assert result.wait(PATIENCE) == "FAILURE"
    assert "deadline" in result.run.error_message
    gate.touch()
    _wait_for(result.children[0], "SUCCESS")
    assert result.children[0].children[0].state == "REVOKED"


def test_with_a_limit_of_one_no_two_tasks_overlap(stack, tmp_path):
    log = tmp_path / "log"
    log.touch()
    tree = TaskTree(max_active=1)
    for number in range(10):
        tree.add_task(tasks.in_and_out, [str(log), number])
    assert tree.apply_async().wait(PATIENCE) == "SUCCESS"
    lines = [line.split() for line in log.read_text().splitlines()]
    assert [event for event, _ in lines] == ["in", "out"] * 10
    assert all(lines[at][1] == lines[at + 1][1] for at in range(0, 20, 2))


def test_nodes_are_added_to_an_open_run(stack, tmp_path):
    gate = tmp_path / "gate"
    tree = TaskTree()
    node = tree.add_task(tasks.wait_for_file, [str(gate)])
    tree.gather(tasks.echo, [tree.outputs])
    result = tree.apply_async()
    added = result.add_task(tasks.echo, ["new"])
    below = result[node].add_task(tasks.echo, ["below"])
    gate.touch()
    assert result.wait(PATIENCE) == "SUCCESS"
    assert (added.get(), below.get()) == ("new", "below")
    assert next(child for child in result.children if child.node.is_gather).get() == [None, "new"]
