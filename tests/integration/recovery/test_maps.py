"""Maps that tolerate failures: what stops their children again after a reset, a race of two ends, or a crash."""

from unittest import mock

import pytest
from django.utils import timezone

from django_tasktree import NodeResult, TaskTree
from django_tasktree.control import operations
from django_tasktree.dispatch.after_commit import finish_and_propagate
from django_tasktree.engine.control.change import Change
from django_tasktree.engine.lifecycle import tolerance
from django_tasktree.engine.lifecycle.claim import claim
from django_tasktree.engine.lifecycle.finish import finish
from django_tasktree.engine.lifecycle.settle import settle
from django_tasktree.models import NodeRun
from django_tasktree.recovery.sweep import sweep
from tests import simulation
from tests.integration.engine.trees import FAILURE, SUCCESS, ref
from tests.sample.tasks import echo


@pytest.fixture
def world(database, app):
    """Yield a simulation with one worker."""
    with simulation.simulated(app, "maps") as world:
        world.start_worker("w")
        yield world


def start(world, node_id):
    node = ref(node_id)
    assert claim(node, "w", world.hosts["w"].id)
    return node


def fail(world, *keys):
    for key in keys:
        finish_and_propagate(start(world, key), FAILURE)


def launch(world, tree):
    """Launch a tree with a map that is called pages, and end its node; return the run and the IDs of the children."""
    run = tree.apply_async()
    pages = run["pages"].id
    finish_and_propagate(start(world, pages), SUCCESS)
    children = NodeRun.objects.filter(parent_id=pages, is_gather=False).order_by("position")
    return run, list(children.values_list("id", flat=True))


def launch_map(world, items, tolerate, **options):
    """Launch a map and a node beside it."""
    tree = TaskTree(**options)
    tree.map(echo, over=range(items), tolerate=tolerate, label="pages")
    tree.wait_for("ok", label="other")
    return launch(world, tree)


def states(keys):
    found = dict(NodeRun.objects.filter(id__in=keys).values_list("id", "state"))
    return [str(found[key]) for key in keys]


def swept(world):
    """Let time pass, and sweep."""
    world.pass_time()
    world.witness(timezone.now())
    return sweep(world.app)


class TestChildrenThatRunAgain:
    @pytest.mark.parametrize("on_failure", ["continue", "stop"])
    @pytest.mark.parametrize("action", ["retry", "rerun", "retry_leaves"])
    def test_failures_that_remain_do_not_stop_them(self, world, action, on_failure):
        run, keys = launch_map(world, 4, 1, on_failure=on_failure)
        fail(world, *keys[:2])
        assert states(keys) == ["FAILURE"] * 2 + ["REVOKED"] * 2
        if action == "retry_leaves":
            operations.retry_leaves(run.id, keys[:1])
        else:
            getattr(NodeResult(keys[0]), action)()
        assert states(keys) == ["QUEUED", "FAILURE"] + ["REVOKED"] * 2
        assert not swept(world).settled
        finish_and_propagate(start(world, keys[0]), SUCCESS)
        # They count for the outcome.
        assert NodeRun.objects.get(id=run["pages"].id).subtree_failed
        assert run.state == ("FAILURE" if on_failure == "stop" else "STARTED")

    def test_they_are_not_revoked_when_the_next_limit_is_free(self, world):
        tree = TaskTree()
        tree.map(echo, over=range(4), tolerate=0, label="pages", max_active=1)
        run, keys = launch(world, tree)
        fail(world, keys[0])
        operations.retry_leaves(run.id, keys[1:3])
        assert states(keys) == ["FAILURE", "QUEUED", "PENDING", "REVOKED"]
        swept(world)
        assert states(keys) == ["FAILURE", "QUEUED", "PENDING", "REVOKED"]

    def test_a_new_failure_stops_the_others_again(self, world):
        run, keys = launch_map(world, 5, 0)
        fail(world, keys[0])
        operations.retry_leaves(run.id, keys[:3])
        fail(world, keys[1])
        assert states(keys) == ["REVOKED", "FAILURE"] + ["REVOKED"] * 3
        run.retry()
        assert states(keys) == ["QUEUED"] * 5
        fail(world, keys[4])
        assert states(keys) == ["REVOKED"] * 4 + ["FAILURE"]

    def test_few_failures_that_remain_are_not_forgiven(self, world):
        _run, keys = launch_map(world, 5, 1)
        fail(world, *keys[:2])
        for key in keys[1:]:
            NodeResult(key).retry()
        fail(world, keys[1])
        assert states(keys) == ["FAILURE"] * 2 + ["REVOKED"] * 3

    def test_nodes_that_are_added_below_children_that_failed_run(self, world):
        tree = TaskTree()
        pages = tree.map(echo, over=range(3), tolerate=1, label="pages")
        pages.each.add_task(echo)
        _run, keys = launch(world, tree)
        for key in keys:
            finish_and_propagate(start(world, key), SUCCESS)
        below = [NodeRun.objects.get(parent_id=key).id for key in keys]
        fail(world, *below[:2])
        for key in keys[:2]:
            NodeResult(key).add_task(echo, label="added")
        added = [NodeRun.objects.get(parent_id=key, label="added").id for key in keys[:2]]
        assert states(added) == ["QUEUED"] * 2
        # The first child settles again, as failed, which it was before.
        finish_and_propagate(start(world, added[0]), SUCCESS)
        assert states(added) == ["SUCCESS", "QUEUED"]

    @pytest.mark.parametrize("trigger", ["failure", "add"])
    def test_batch_by_batch(self, world, settings, trigger):
        settings.TASKTREE = {"BATCH_SIZE": 2, "SHARE_MESSAGE_FOR": 0}
        run, keys = launch_map(world, 6, 1)
        running = start(world, keys[5])
        fail(world, *keys[:2])
        step, between = Change.step, []

        def step_and_act(self, act):
            found = step(self, act)
            if not between:
                between.append(run.state)
                if trigger == "failure":
                    finish_and_propagate(running, FAILURE)
                else:
                    run["other"].add_task(echo)
            return found

        with mock.patch.object(Change, "step", step_and_act):
            run.retry()
        assert between == ["CHANGING"]
        assert states(keys[:5]) == ["QUEUED"] * 5

    def test_a_reset_while_the_rest_is_being_revoked(self, world):
        _run, keys = launch_map(world, 4, 0)
        find, done = tolerance._unsettled_children, []

        def find_after_a_retry(node, after):
            found = find(node, after)
            if not done:
                done.append(True)
                NodeResult(keys[0]).retry()
            return found

        with mock.patch.object(tolerance, "_unsettled_children", find_after_a_retry):
            fail(world, keys[0])
        # No failure is left.
        assert states(keys) == ["QUEUED"] * 4


class TestTooManyFailures:
    """Of a map whose failure stops the tree."""

    def test_another_process_ends_the_last_child(self, world):
        run, keys = launch_map(world, 2, 0, on_failure="stop")
        one, other = (start(world, key) for key in keys)
        finish(one, FAILURE)
        finish_and_propagate(other, SUCCESS)
        settle(run.id, one.parent_id, failed=True)
        assert (run.state, run["other"].state) == ("FAILURE", "REVOKED")

    @pytest.mark.parametrize("gather", [False, True])
    def test_a_crash_after_the_last_failure(self, world, gather):
        tree = TaskTree(on_failure="stop")
        pages = tree.map(echo, over=range(2), tolerate=0, label="pages")
        if gather:
            pages.gather(echo, run_when="always")
        tree.add_task(echo, label="other")
        run, keys = launch(world, tree)
        finish_and_propagate(start(world, keys[1]), SUCCESS)
        finish(start(world, keys[0]), FAILURE)
        assert swept(world).settled
        assert (run.state, run["other"].state) == ("FAILURE", "REVOKED")
        assert not swept(world).settled

    def test_a_crash_before_the_tree_is_stopped(self, world):
        run, keys = launch_map(world, 3, 0, on_failure="stop")
        with (
            mock.patch.object(tolerance, "_stop_scope", side_effect=KeyboardInterrupt),
            pytest.raises(KeyboardInterrupt),
        ):
            fail(world, keys[0])
        assert (run.state, states(keys)) == ("STARTED", ["FAILURE", "REVOKED", "REVOKED"])
        assert swept(world).settled
        assert run.state == "FAILURE"

    @pytest.mark.parametrize("on_failure", ["continue", "stop"])
    def test_a_crash_before_the_rest_is_revoked(self, world, on_failure):
        run, keys = launch_map(world, 5, 1, on_failure=on_failure)
        running = start(world, keys[4])
        fail(world, keys[0])
        finish(start(world, keys[1]), FAILURE)
        assert swept(world).settled == 1
        assert states(keys) == ["FAILURE"] * 2 + ["REVOKED"] * 2 + ["STARTED"]
        assert run.state == ("FAILURE" if on_failure == "stop" else "STARTED")
        assert not swept(world).settled
        if on_failure == "continue":
            finish_and_propagate(running, SUCCESS)
            assert NodeRun.objects.get(id=run["pages"].id).subtree_failed

    def test_a_failure_that_is_tolerated_is_nothing_to_repair(self, world):
        _run, keys = launch_map(world, 5, 1)
        finish(start(world, keys[0]), FAILURE)
        assert not swept(world).settled
        assert states(keys) == ["FAILURE"] + ["QUEUED"] * 4
