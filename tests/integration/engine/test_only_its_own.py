"""An operation on a run or node changes only its own rows, and forgets what an earlier attempt has left in them."""

from dataclasses import replace

import pytest

from django_tasktree import TaskTree
from django_tasktree.engine.lifecycle.finish import finish
from django_tasktree.models import NodeRun, TreeRun
from django_tasktree.recovery.sweep import sweep
from django_tasktree.states import Hold, NodeState
from tests import simulation
from tests.integration.engine.trees import SUCCESS, insert_run, ref
from tests.sample.tasks import echo, fail

WIDE = 3


@pytest.fixture
def wide(settings):
    """Make more than two children more than one batch."""
    settings.TASKTREE = {"BATCH_SIZE": WIDE - 1}


@pytest.fixture
def world(transactional_db, app):
    """Yield a simulation with one worker."""
    with simulation.simulated(app, "only-its-own") as world:
        world.start_worker("w")
        yield world


def started_parent(run_state="STARTED", **gather):
    """Insert a run with a started node, which has a batch of children and a gather node."""
    tree = TaskTree()
    top = tree.add_task(echo)
    children = [top.add_task(echo, [number]) for number in range(WIDE)]
    gather_node = top.gather(echo, **gather)
    launched, keys = insert_run(tree)
    NodeRun.objects.filter(id=keys[top]).update(state="STARTED")
    TreeRun.objects.filter(id=launched.run_id).update(state=run_state)
    return ref(keys[top]), [keys[child] for child in children], keys[gather_node]


def states(ids):
    return set(NodeRun.objects.filter(id__in=ids).values_list("state", "runnable"))


def test_a_paused_run_releases_no_wide_fan_out_while_another_run_is_started(database, wide):
    started_parent()
    node, children, _ = started_parent("PAUSED")
    finish(node, SUCCESS)
    assert states(children) == {("PENDING", True)}


def test_a_stopped_wide_fan_out_skips_gather_nodes_too(database, wide):

    node, children, gather = started_parent()
    finish(node, replace(SUCCESS, skip_children=True))
    assert states([*children, gather]) == {("SKIPPED", False)}


def test_a_retry_leaves_what_was_revoked_elsewhere(world):
    tree = TaskTree()
    tree.add_task(fail)
    tree.add_task(echo)
    stopped, other = tree.apply_async(), tree.apply_async()
    world.deliver_all("w")
    ended = NodeRun.objects.filter(run_id__in=[stopped.id, other.id], state="SUCCESS")
    # A stop marks finished nodes too, so that what is added below them does not run.
    ended.update(hold=Hold.REVOKED)
    stopped.retry()
    assert dict(ended.values_list("run_id", "hold")) == {stopped.id: Hold.NONE, other.id: Hold.REVOKED}


def test_a_stop_says_why_the_run_has_ended(world):
    tree = TaskTree(on_failure="stop")
    node = tree.add_task(fail)
    result = tree.apply_async()
    world.deliver_all("w")
    assert result.run.error_message == f"node {result[node].id} failed, and on_failure is 'stop'"


def test_a_node_that_runs_again_has_nothing_of_its_last_attempt(world):
    tree = TaskTree()
    tree.add_task(fail)
    result = tree.apply_async()
    world.deliver_all("w")
    result.retry()
    row = result.children[0].node
    assert row.state == NodeState.QUEUED
    assert (row.finished_at, row.error_type, row.error_message, row.traceback) == (None, "", "", "")


def test_a_run_ends_although_nodes_below_a_skipped_one_are_not_reached(world):
    tree = TaskTree()
    tree.add_task(echo, run_when="always").add_task(echo, run_when="failure").add_task(echo)
    result = tree.apply_async()
    world.deliver_all("w")
    assert result.state == "SUCCESS"
    TreeRun.objects.filter(id=result.id).update(state="STARTED", finished_at=None)
    world.pass_time()
    sweep(world.app)
    assert result.state == "SUCCESS"
    assert NodeRun.objects.filter(run_id=result.id, settled=False).count() == 1
