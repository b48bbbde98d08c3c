"""Actions on runs with sub-runs: they go down to the sub-runs, and repair goes up."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connections
from django.test.utils import CaptureQueriesContext

from django_tasktree import TaskTree, TreeResult
from django_tasktree.control import operations
from django_tasktree.control.changes import carry_out
from django_tasktree.control.purge import delete_runs, old_runs, purge_runs
from django_tasktree.definitions.definition import Definition
from django_tasktree.dispatch import sub_run_steps
from django_tasktree.dispatch.sub_run_outcome import outcome_of
from django_tasktree.dispatch.sub_runs import wait_for_run_of
from django_tasktree.engine.control import sub_runs as engine_sub_runs
from django_tasktree.engine.control.sub_runs import move_sub_runs
from django_tasktree.engine.lifecycle.claim import claim
from django_tasktree.engine.transitions import runs
from django_tasktree.exceptions import NotPossible, SubRunFailed
from django_tasktree.models import NodeRun, TreeRun
from django_tasktree.models.history_entry import Action
from django_tasktree.recovery.sweep import sweep
from django_tasktree.testing import registered
from tests.integration.control.play import changing
from tests.integration.control.sub_runs.runs import sub_run_of, sub_runs_of
from tests.integration.engine.trees import ref
from tests.sample.sub_run_tasks import asking
from tests.sample.tasks import echo


@pytest.fixture
def run(world):
    """Launch a tree with two sub-runs, of which one has a sub-run of its own; all wait."""
    tree = TaskTree("outer")
    top = tree.add_task(echo, ["top"], label="top")
    top.add_run("nested", {"levels": 1}, label="one")
    tree.add_run("asking", label="two")
    tree.gather(echo, ["end"], label="end", run_when="always")
    run = tree.apply_async()
    world.deliver_all("w")
    return run


@pytest.fixture
def while_starting():
    """Return a function that sets what is done while a definition of a sub-run builds its tree."""
    actions: list[Any] = []

    def acting(name: str = "ok") -> TaskTree:
        while actions:
            actions.pop()()
        return asking(name)

    with registered(Definition("asking", acting)):
        yield actions.append


def one(run):
    return sub_run_of(run["top/one"])


def inner(run):
    return sub_run_of(one(run).children[0])


def two(run):
    return sub_run_of(run["two"])


def states(run):
    return [each.state for each in (run, one(run), inner(run), two(run))]


class TestDown:
    def test_pause_and_resume(self, world, run):
        run.pause()
        assert states(run) == ["PAUSED"] * 4
        run.resume()
        assert states(run) == ["STARTED"] * 4
        assert [entry.action for entry in inner(run).history] == ["pause", "resume"]
        assert inner(run).history[0].note == f"together with run {run.id}"

    def test_pause_and_resume_of_a_subtree(self, run):
        run["top"].pause()
        assert states(run) == ["STARTED", "PAUSED", "PAUSED", "STARTED"]
        run["top"].resume()
        assert states(run) == ["STARTED"] * 4

    def test_the_number_of_statements_does_not_depend_on_that_of_sub_runs(self, database, world):
        found = []
        for number in (2, 7):
            tree = TaskTree()
            top = tree.add_task(echo, label="top")
            for _ in range(number):
                top.add_run("nested", {"levels": 1})
            run = tree.apply_async()
            world.deliver_all("w")
            with CaptureQueriesContext(connections[database]) as queries:
                run.pause()
                run["top"].pause()
            found.append(len(queries))
        assert found[0] == found[1]

    def test_a_sub_run_stays_paused_if_something_above_it_does(self, run):
        run["top"].pause()
        run.pause()
        run.resume()
        assert states(run) == ["STARTED", "PAUSED", "PAUSED", "STARTED"]
        run.pause()
        run["top"].resume()
        assert states(run) == ["PAUSED"] * 4
        run.resume()
        assert states(run) == ["STARTED"] * 4

    def test_revoke(self, run):
        run.revoke()
        assert states(run) == ["REVOKED"] * 4

    def test_revoke_of_a_node(self, world, run):
        run["top"].revoke()
        assert states(run) == ["STARTED", "REVOKED", "REVOKED", "STARTED"]
        two(run).send_event("ok", 1)
        world.deliver_all("w")
        assert run["end"].get() == "end"

    def test_terminate_reaches_the_tasks_of_sub_runs(self, world, run, monkeypatch):
        terminated = []
        monkeypatch.setattr(world.app.control, "revoke", lambda ids, **_: terminated.extend(ids))
        node = two(run)["ok"]
        NodeRun.objects.filter(id=node.id).update(state="STARTED")
        run.revoke(terminate=True)
        assert terminated == [str(NodeRun.objects.get(id=node.id).task_id)]

    def test_the_deadline(self, run):
        runs().filter(id=run.id).update(deadline=TreeRun.objects.get(id=run.id).created_at)
        assert operations.enforce_deadline(run.id)
        assert states(run) == ["FAILURE", "REVOKED", "REVOKED", "REVOKED"]

    def test_in_batches(self, world, run, settings):
        settings.TASKTREE = {"BATCH_SIZE": 1}
        run["top"].pause()
        assert states(run) == ["STARTED", "PAUSED", "PAUSED", "STARTED"]
        run["top"].resume()
        assert states(run) == ["STARTED"] * 4
        run.revoke()
        assert states(run) == ["REVOKED"] * 4

    def test_a_sub_run_that_is_changing_is_paused_and_resumed_afterwards(self, run):
        """The sub-run below it is paused at once."""
        first = changing(one(run), one(run).children[0], Action.RESUME)
        run.pause()
        assert states(run) == ["PAUSED", "CHANGING", "PAUSED", "PAUSED"]
        carry_out(first)
        assert states(run) == ["PAUSED"] * 4
        second = changing(one(run), one(run).children[0], Action.RESUME)
        run.resume()
        carry_out(second)
        assert states(run) == ["STARTED"] * 4

    @pytest.mark.parametrize(
        ("action", "expected"), [(Action.PAUSE, ["PAUSED", "WAITING"]), (Action.REVOKE, ["REVOKED", "REVOKED"])]
    )
    def test_a_sub_run_that_starts_while_the_run_is_changing(self, world, while_starting, action, expected):
        """A run that was paused is PAUSED again after the change; in one that is being revoked, nothing starts."""
        tree = TaskTree()
        tree.add_run("asking", label="asking")
        run = tree.apply_async()
        changes: list[Any] = []

        def change() -> None:
            run.pause()
            changes.append(changing(run, run["asking"] if action == Action.PAUSE else None, action))

        while_starting(change)
        world.deliver_all("w")
        carry_out(changes[0])
        assert [run.state, run["asking"].state] == expected
        assert all(sub_run.state == "PAUSED" for sub_run in sub_runs_of(run["asking"]))

    @pytest.mark.parametrize("action", ["pause", "resume"])
    def test_a_sub_run_that_begins_just_before_its_run_is_paused_or_resumed(self, world, monkeypatch, action):
        tree = TaskTree()
        tree.add_run("nested", {"levels": 1}, label="outer")
        run = tree.apply_async()
        world.deliver(world.receive_all()[0], "w")
        outer = sub_run_of(run["outer"])
        node = ref(outer.children[0].id)
        assert claim(node, "w")
        if action == "resume":
            run.pause()
        move, begun = move_sub_runs, []

        def begin_and_move(*args):
            if not begun:
                begun.append(wait_for_run_of(node, asking()))
            return move(*args)

        monkeypatch.setattr(engine_sub_runs, "move_sub_runs", begin_and_move)
        getattr(run, action)()
        assert begun
        assert len(set(TreeRun.objects.values_list("state", flat=True))) == 1

    def test_a_sub_run_that_ends_while_the_run_is_changing_ends_its_node_afterwards(self, run):
        change = changing(run, run["top"], Action.RESUME)
        two(run).send_event("ok", 7)
        assert (two(run).state, run["two"].state) == ("SUCCESS", "WAITING")
        carry_out(change)
        assert run["two"].get() == 7

    def test_a_sub_run_that_starts_during_a_pause_is_paused(self, world, while_starting):
        tree = TaskTree()
        tree.add_run("asking", label="asking")
        run = tree.apply_async()
        while_starting(run.pause)
        world.deliver_all("w")
        assert (run.state, run["asking"].state, sub_run_of(run["asking"]).state) == ("PAUSED", "WAITING", "PAUSED")
        run.resume()
        sub_run_of(run["asking"]).send_event("ok", 1)
        assert run.state == "SUCCESS"

    @pytest.mark.parametrize("of_node", [False, True])
    def test_nothing_starts_if_the_run_was_revoked_meanwhile(self, world, while_starting, of_node):
        tree = TaskTree()
        tree.add_run("asking", label="asking")
        run = tree.apply_async()
        while_starting((run["asking"] if of_node else run).revoke)
        world.deliver_all("w")
        assert run["asking"].state == "REVOKED"
        assert TreeRun.objects.count() == 1
        with pytest.raises(NotPossible, match="would never run"):
            run["asking"].add_task(echo, run_when="always")


class TestAgain:
    def test_a_retry_starts_a_new_run(self, world, run):
        two(run).revoke()
        inner(run).send_event("ok", 1)
        world.deliver_all("w")
        assert run.state == "FAILURE"
        run["two"].retry()
        world.deliver_all("w")
        old, new = sub_runs_of(run["two"])
        assert (old.state, new.state) == ("REVOKED", "STARTED")
        new.send_event("ok", 2)
        world.deliver_all("w")
        assert (run["two"].get(), run.state) == (2, "SUCCESS")

    def test_a_rerun_above_revokes_the_open_run(self, world, run):
        run["top"].rerun()
        world.deliver_all("w")
        old, new = sub_runs_of(run["top/one"])
        assert (old.state, new.state) == ("REVOKED", "STARTED")
        assert sub_run_of(old.children[0]).state == "REVOKED"

    def test_the_node_can_be_completed(self, world, run):
        run["two"].complete("given")
        assert (run["two"].get(), two(run).state) == ("given", "REVOKED")
        assert NodeRun.objects.get(id=run["two"].id).attempts == 1

    @pytest.mark.parametrize(
        ("of_node", "size"), [("failed", 500), ("revoked", 1), ("runs again", 500), ("deleted", 1)]
    )
    def test_a_sub_run_that_is_retried_continues_by_itself(self, world, run, of_node, size, settings):
        """Whatever has become of its node; and what is done to the run does not concern the sub-run any more."""
        settings.TASKTREE = {"BATCH_SIZE": size}
        sub_run = two(run)
        if of_node in ("revoked", "deleted"):
            run.revoke()
        sub_run.revoke() if of_node in ("failed", "runs again") else None
        if of_node == "runs again":
            run["two"].retry()
        if of_node == "deleted":
            run.delete()
        sub_run.retry()
        sweep(world.app)
        assert sub_run.state == "STARTED"
        if of_node in ("failed", "runs again"):
            run.pause()
            run.revoke()
        assert sub_run.state == "STARTED"
        sub_run.send_event("ok", 1)
        assert sub_run.state == "SUCCESS"

    def test_a_sub_run_that_is_retried_while_its_node_is_ended_is_still_waited_for(self, world, monkeypatch, run):
        key = two(run).id

        def retry_and_return(*args):
            found = outcome_of(*args)
            monkeypatch.undo()
            TreeResult(key).retry()
            return found

        monkeypatch.setattr(sub_run_steps, "outcome_of", retry_and_return)
        two(run).revoke()
        assert (two(run).state, run["two"].state) == ("STARTED", "WAITING")
        two(run).send_event("ok", 7)
        assert run["two"].get() == 7

    def test_a_sub_run_that_is_retried_before_its_node_has_ended_is_still_waited_for(self, world, run):
        TreeRun.objects.filter(id=two(run).id).update(state="REVOKED")
        NodeRun.objects.filter(id=two(run)["ok"].id).update(state="REVOKED", settled=True)
        two(run).retry()
        assert sweep(world.app).ended == 0
        run.revoke()
        assert two(run).state == "REVOKED"

    def test_the_result_of_a_sub_run_that_was_retried_can_be_given_to_the_node(self, world, run):
        two(run).revoke()
        with pytest.raises(SubRunFailed):
            run["two"].get()
        two(run).retry()
        two(run).send_event("ok", 7)
        run["two"].complete(two(run).value())
        assert run["two"].get() == 7

    def test_a_large_rerun_that_is_refused_changes_nothing(self, world, run, settings):
        settings.TASKTREE = {"BATCH_SIZE": 1}
        NodeRun.objects.filter(label="end").update(state="STARTED")
        with pytest.raises(Exception, match="is running"):
            run["top"].rerun()
        NodeRun.objects.filter(label="end").update(state="PENDING")
        inner(run).send_event("ok", 1)
        two(run).send_event("ok", 2)
        world.deliver_all("w")
        assert (run["top/one"].get(), run.state) == (1, "SUCCESS")


class TestSweep:
    def test_it_ends_the_node_whose_run_has_ended(self, world, run):
        key = two(run).id
        TreeRun.objects.filter(id=key).update(state="REVOKED")
        report = sweep(world.app)
        assert (report.ended, run["two"].state) == (1, "FAILURE")
        assert not sweep(world.app).ended

    def test_it_fails_the_node_whose_run_was_deleted(self, world, run):
        TreeRun.objects.filter(id=two(run).id).delete()
        assert sweep(world.app).ended == 1
        assert run["two"].state == "FAILURE"

    @pytest.mark.parametrize("state", ["SUCCESS", "FAILURE"])
    def test_a_sub_run_is_not_deleted_before_its_node_has_ended(self, world, run, state):
        ended = {"state": state, "finished_at": TreeRun.objects.get(id=run.id).created_at - timedelta(days=9)}
        TreeRun.objects.filter(id=two(run).id).update(**ended)
        with pytest.raises(NotPossible, match=f"node {run['two'].id} has not taken the result"):
            two(run).delete()
        assert delete_runs([two(run).id]).runs == 0
        assert sum(step.runs for step in purge_runs(old_runs(timedelta(days=1)))) == 0
        assert sweep(world.app).ended == 1
        assert sum(step.runs for step in purge_runs(old_runs(timedelta(days=1)))) == 1

    def test_it_revokes_the_run_for_which_no_node_waits(self, world, run):
        NodeRun.objects.filter(id=run["top/one"].id).update(state="REVOKED", settled=True)
        assert sweep(world.app).stopped == 1
        assert [each.state for each in (one(run), inner(run))] == ["REVOKED", "REVOKED"]

    def test_it_leaves_the_others_alone(self, world, run):
        world.pass_time()
        report = sweep(world.app)
        assert (report.ended, report.stopped, report.announced) == (0, 0, 0)
        assert states(run) == ["STARTED"] * 4


def test_handles_of_sub_runs_are_ordinary(run):
    assert isinstance(two(run), TreeResult)
    assert TreeRun.objects.get(id=two(run).id).duration >= timedelta()
