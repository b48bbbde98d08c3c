"""Wait nodes: how they begin and end, alone and with every other action."""

import inspect
import json
import sys
from datetime import datetime, timedelta

import pytest
from django.db import connections, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from django_tasktree import NodeResult, TaskTree, TreeResult, bulk, current_node, task_with_callbacks
from django_tasktree.control.changes import carry_out
from django_tasktree.dispatch import wait_ends, wait_steps
from django_tasktree.dispatch.waits import outcome_by_event
from django_tasktree.drafts import read_rows
from django_tasktree.engine.control.waits import open_waits
from django_tasktree.engine.recovery.scan import Scan
from django_tasktree.engine.transitions import write_alias
from django_tasktree.exceptions import (
    InvalidOption,
    InvalidParameter,
    NotPossible,
    RunNotFound,
    SerializationError,
    ValueTooLarge,
    WaitExpired,
)
from django_tasktree.models import NodeAttempt, NodeRun, RunEvent, TreeRun
from django_tasktree.models.history_entry import Action
from django_tasktree.recovery.sweep import sweep
from django_tasktree.signals import node_waiting
from django_tasktree.testing import run_tree
from tests.integration.control.play import changing
from tests.sample.payloads import ApprovalForm, BrokenForm, LetterForm, UserForm, decision
from tests.sample.tasks import echo, fail

HOUR = timedelta(hours=1)


def approval(**options):
    """Return a tree: a task, a wait for its approval, and a task that gets the payload."""
    tree = TaskTree("approval")
    ok = tree.add_task(echo, ["made"], label="make").wait_for("approved", **options)
    ok.add_task(echo, [ok.output], label="publish")
    ok.add_task(echo, ["rejected"], label="discard", run_when="failure")
    return tree


def waiting(world, tree=None, **options):
    """Launch a tree and run it up to its wait node; return the handle of the run."""
    run = (approval(**options) if tree is None else tree).apply_async()
    world.deliver_all("w")
    return run


def states(run):
    """Return the states of the nodes of a run by label."""
    return dict(NodeRun.objects.filter(run_id=run.id).values_list("label", "state"))


def wait_of(run):
    return run["make/approved"]


class TestCompletion:
    def test_a_wait_node_has_no_message_and_ends_with_its_payload(self, world, announced):
        run = waiting(world)
        assert states(run) == {"make": "SUCCESS", "approved": "WAITING", "publish": "PENDING", "discard": "PENDING"}
        assert world.receive_all() == []
        assert announced == [("approved", 0)]
        wait_of(run).complete({"by": 7}, by="jo")
        world.deliver_all("w")
        assert run.state == "SUCCESS"
        assert run["make/approved/publish"].get() == {"by": 7}
        assert wait_of(run).get() == {"by": 7}
        assert [(entry.action, entry.actor) for entry in run.history] == [("complete", "jo")]

    def test_the_wait_counts_as_an_attempt_that_took_as_long(self, world):
        run = waiting(world)
        wait_of(run).complete()
        row = wait_of(run).node
        assert (row.attempts, row.started_at) == (1, row.queued_at)
        assert row.duration is not None

    def test_it_is_completed_once(self, world):
        run = waiting(world)
        wait_of(run).complete(1)
        with pytest.raises(NotPossible, match="it can't be completed again"):
            wait_of(run).complete(2)
        assert wait_of(run).get() == 1

    def test_a_node_that_is_not_reached_can_not_be_completed(self, world):
        run = approval().apply_async()
        with pytest.raises(NotPossible, match="has not been reached"):
            wait_of(run).complete()

    def test_a_root_node_waits_from_the_launch_on(self, world, announced):
        tree = TaskTree()
        tree.wait_for("go").add_task(echo, ["a"])
        run = tree.apply_async()
        assert (states(run)["go"], announced) == ("WAITING", [("go", 0)])
        run["go"].complete()
        world.deliver_all("w")
        assert run.state == "SUCCESS"

    @pytest.mark.parametrize(
        ("given", "sent"), [({}, ("go", "")), ({"title": "Go on?", "description": "Now."}, ("Go on?", "Now."))]
    )
    def test_receivers_get_the_title_and_the_description(self, world, given, sent):
        received = []

        def receiver(title, description, **_):
            received.append((title, description))

        tree = TaskTree()
        tree.wait_for("go", **given)
        node_waiting.connect(receiver)
        run = tree.apply_async()
        run.copy()
        node_waiting.disconnect(receiver)
        assert received == [sent, sent]

    def test_a_tree_of_waits_only(self, world):
        tree = TaskTree()
        tree.wait_for("go").wait_for("again")
        run = tree.apply_async()
        run.send_event("go")
        run.send_event("again", [2])
        assert (run.state, run["go/again"].get()) == ("SUCCESS", [2])
        assert world.receive_all() == []

    def test_the_preview_is_the_effect(self, world):
        run = waiting(world)
        assert wait_of(run).preview("complete") == wait_of(run).complete()

    def test_many_waits_under_one_node(self, world, settings, announced):
        settings.TASKTREE = {"BATCH_SIZE": 2}
        tree = TaskTree()
        top = tree.add_task(echo, ["top"], label="top")
        for number in range(5):
            top.wait_for(f"w{number}")
        run = waiting(world, tree)
        assert sorted(label for label, _ in announced) == [f"w{number}" for number in range(5)]
        for number in range(5):
            run.send_event(f"w{number}")
        assert run.state == "SUCCESS"

    def test_each_of_many_waits_takes_one_statement_to_begin(self, world):
        numbers = []
        for number in (5, 25):
            tree = TaskTree()
            for position in range(number):
                tree.wait_for(f"w{position}", timeout=HOUR)
            with CaptureQueriesContext(connections[write_alias()]) as queries:
                tree.apply_async()
            numbers.append(len(queries))
        assert numbers[1] - numbers[0] <= 20

    def test_many_root_waits(self, world, settings, announced):
        settings.TASKTREE = {"BATCH_SIZE": 2}
        tree = TaskTree()
        for number in range(5):
            tree.wait_for(f"w{number}")
        run = tree.apply_async()
        assert len(announced) == 5
        for number in range(5):
            run[number].complete()
        assert run.state == "SUCCESS"


class TestEvents:
    def test_an_event_ends_the_node(self, world):
        run = waiting(world)
        TreeResult(run.id).send_event("approved", {"by": 7}, by="jo")
        world.deliver_all("w")
        assert (run.state, wait_of(run).get()) == ("SUCCESS", {"by": 7})
        assert [(entry.action, entry.actor, entry.note) for entry in run.history] == [("event", "jo", "approved")]
        event = RunEvent.objects.get()
        assert (event.taken_by, event.actor) == (wait_of(run).id, "jo")

    def test_an_event_may_come_before_the_node_is_reached(self, world, announced):
        run = approval().apply_async()
        run.send_event("approved", {"by": 7})
        assert RunEvent.objects.filter(taken_at=None).count() == 1
        world.deliver_all("w")
        assert (run.state, wait_of(run).get()) == ("SUCCESS", {"by": 7})
        assert announced == []

    def test_each_event_is_taken_once_in_order(self, world):
        tree = TaskTree()
        for number in range(2):
            tree.wait_for("vote", label=str(number))
        run = tree.apply_async()
        run.send_event("vote", "a")
        assert (run["0"].state, run["1"].state) == ("SUCCESS", "WAITING")
        run.send_event("vote", "b")
        assert (run["0"].get(), run["1"].get(), run.state) == ("a", "b", "SUCCESS")

    def test_two_early_events_end_two_nodes(self, world):
        tree = TaskTree()
        tree.add_task(echo, ["a"], label="a").wait_for("vote").wait_for("vote")
        run = tree.apply_async()
        run.send_event("vote", 1)
        run.send_event("vote", 2)
        world.deliver_all("w")
        assert (run.state, run["a/vote"].get(), run["a/vote/vote"].get()) == ("SUCCESS", 1, 2)

    def test_other_names_do_not_match(self, world):
        run = waiting(world)
        run.send_event("APPROVED")
        run.send_event("approve")
        assert wait_of(run).state == "WAITING"

    def test_in_a_transaction_it_is_sent_at_the_commit(self, world):
        run = waiting(world)
        with transaction.atomic(using=write_alias()):
            run.send_event("approved")
            assert wait_of(run).state == "WAITING"
        assert wait_of(run).state == "SUCCESS"

    def test_a_run_that_has_ended_takes_none(self, world):
        run = waiting(world)
        run.revoke()
        with pytest.raises(NotPossible, match="has ended already"):
            run.send_event("approved")

    def test_a_run_that_does_not_exist(self, world):
        with pytest.raises(RunNotFound):
            TreeResult("00000000-0000-0000-0000-000000000001").send_event("approved")

    @pytest.mark.parametrize("name", ["", "a/b", None])
    def test_a_wrong_name(self, world, name):
        run = waiting(world)
        with pytest.raises(InvalidOption):
            run.send_event(name)

    def test_a_draft_takes_events(self, world):
        run = approval().apply_async(draft=True)
        run.send_event("approved", 3)
        run.launch()
        world.deliver_all("w")
        assert wait_of(run).get() == 3

    def test_the_events_are_deleted_with_their_run(self, world):
        run = waiting(world)
        run.send_event("approved")
        run.send_event("more")
        run.revoke()
        run.delete()
        assert not RunEvent.objects.exists()


class TestPayloads:
    def test_a_form_cleans_the_payload(self, world):
        run = waiting(world, form=ApprovalForm)
        wait_of(run).complete({"by": "7", "note": " fine "})
        assert wait_of(run).get() == {"by": 7, "note": "fine"}

    @pytest.mark.parametrize(
        ("payload", "faults"),
        [
            ({}, {"by": "This field is required."}),
            ({"by": 0, "note": "no"}, {"by": "greater than or equal to 1", "note": "Say more."}),
            ({"by": 1, "bye": 2}, {"bye": "no such field: the fields are by, note"}),
            ([1], {}),
        ],
    )
    def test_a_form_refuses_the_payload(self, world, payload, faults):
        run = waiting(world, form=ApprovalForm)
        for answer in (wait_of(run).complete, lambda given: run.send_event("approved", given)):
            with pytest.raises(InvalidParameter, match="approved") as caught:
                answer(payload)
            assert caught.value.errors.keys() == faults.keys()
            assert all(text in caught.value.errors[name] for name, text in faults.items())
        assert wait_of(run).state == "WAITING"
        assert not RunEvent.objects.exists()

    def test_parameters_clean_the_payload(self, world):
        run = waiting(world, params=decision)
        wait_of(run).complete({"by": 7, "day": "2030-01-31"})
        assert wait_of(run).get() == {"by": 7, "verdict": "yes", "day": "2030-01-31"}

    def test_parameters_refuse_the_payload(self, world):
        run = waiting(world, params=decision)
        with pytest.raises(InvalidParameter, match="needs the parameter 'by'"):
            wait_of(run).complete({"verdict": "yes"})

    @pytest.mark.parametrize("path", ["tests.sample.payloads.Gone", "tests.sample.tasks.echo", "antigravity.Form"])
    def test_a_form_that_does_not_exist_any_more(self, world, path):
        run = waiting(world)
        NodeRun.objects.filter(label="approved").update(wait=json.dumps({"event": "approved", "form": path}))
        with pytest.raises(InvalidParameter, match=path):
            wait_of(run).complete({})
        assert "antigravity" not in sys.modules

    def test_the_output_must_be_storable_too(self, world, django_user_model):
        run = waiting(world, form=UserForm)
        user = django_user_model.objects.db_manager(write_alias()).create_user("jo")
        for answer in (wait_of(run).complete, lambda given: run.send_event("approved", given)):
            with pytest.raises(SerializationError, match="QuerySet"):
                answer({"users": [user.pk]})
        assert wait_of(run).state == "WAITING"
        assert not RunEvent.objects.exists()

    def test_prefixes_are_for_pages_and_parts_of_widgets_are_given_by_name(self, world):
        run = waiting(world, form=LetterForm)
        run.send_event("approved", {"confirmed": True, "at_0": "2030-01-31", "at_1": "12:30"})
        at = timezone.make_aware(datetime(2030, 1, 31, 12, 30))
        assert wait_of(run).get() == {"confirmed": True, "text": None, "at": at}

    def test_an_early_event_is_checked_too(self, world):
        run = approval(params=decision).apply_async()
        with pytest.raises(InvalidParameter):
            run.send_event("approved", {"by": "x"})

    def test_an_event_that_does_not_fit_is_set_aside_if_nobody_knew_before(self, world, caplog):
        tree = TaskTree()
        tree.add_task(ask, label="ask")
        run = tree.apply_async()
        run.send_event("asked", {"by": "x"})
        run.send_event("asked", {"by": 2})
        world.deliver_all("w")
        assert run["ask/asked"].get() == {"by": 2, "verdict": "yes", "day": None}
        assert "does not end node" in caplog.text
        refused = RunEvent.objects.get(taken_at=None)
        assert "'by'" in refused.refusal

    def test_a_form_that_raises_does_not_affect_the_worker(self, world, caplog):
        tree = TaskTree()
        tree.add_task(ask_badly, label="ask").add_task(echo, ["beside"])
        run = tree.apply_async()
        run.send_event("asked", {})
        world.deliver_all("w")
        assert (run["ask"].state, run["ask/asked"].state, run["ask/0"].state) == ("SUCCESS", "WAITING", "SUCCESS")
        assert "could not be validated" in caplog.text
        assert RunEvent.objects.get().refusal == "ZeroDivisionError()"


@task_with_callbacks
def ask():
    """Add a wait node to the running node."""
    current_node().wait_for("asked", params=decision)


@task_with_callbacks
def ask_badly():
    """Add a wait node with a form that raises an error."""
    current_node().wait_for("asked", form=BrokenForm)


class TestTimes:
    @pytest.mark.parametrize(
        ("options", "state", "after"),
        [
            ({}, "FAILURE", {"publish": "SKIPPED", "discard": "SUCCESS"}),
            ({"on_timeout": "success", "default": {"by": None}}, "SUCCESS", {"publish": "SUCCESS"}),
            ({"on_timeout": "skip"}, "SKIPPED", {"publish": "PENDING", "discard": "PENDING"}),
        ],
    )
    def test_a_timeout(self, world, options, state, after):
        run = waiting(world, timeout=HOUR, **options)
        assert sweep(world.app).expired == 0
        assert wait_of(run).state == "WAITING"
        world.pass_time()
        assert sweep(world.app).expired == 1
        world.deliver_all("w")
        assert wait_of(run).state == state
        assert states(run).items() >= after.items()
        assert run.state == ("FAILURE" if state == "FAILURE" else "SUCCESS")

    def test_the_error_of_a_timeout(self, world):
        run = waiting(world, timeout=HOUR)
        world.pass_time()
        sweep(world.app)
        with pytest.raises(WaitExpired, match="no event 'approved' came within 1:00:00"):
            wait_of(run).get()

    def test_the_default_is_the_result(self, world):
        run = waiting(world, timeout=HOUR, on_timeout="success", default={"by": None})
        world.pass_time()
        sweep(world.app)
        assert wait_of(run).get() == {"by": None}

    def test_a_short_time_has_a_timer(self, world):
        tree = TaskTree()
        tree.sleep(timedelta(seconds=5), label="nap").add_task(echo, ["a"])
        run = tree.apply_async()
        (timer,) = world.receive_all()
        assert (timer.headers["task"], timer.headers["eta"] is not None) == ("django_tasktree.end_wait", True)
        world.deliver(timer, "w")
        assert run["nap"].state == "WAITING", "it has come too early"
        world.pass_time()
        world.deliver(timer, "w")
        world.deliver_all("w")
        assert run.state == "SUCCESS"
        assert run["nap"].get() is None

    def test_a_long_time_has_no_timer(self, world):
        waiting(world, timeout=HOUR)
        assert world.receive_all() == []

    def test_a_timer_of_an_earlier_wait_has_no_effect(self, world):
        run = waiting(world, timeout=timedelta(seconds=5))
        world.pass_time()
        sweep(world.app)
        world.receive_all()
        run.retry()
        world.deliver_all("w")
        assert wait_of(run).state == "WAITING"
        assert wait_of(run).node.eta > timezone.now()

    def test_sleep_until(self, world):
        tree = TaskTree()
        tree.sleep(until=timezone.now() - HOUR, label="past").sleep(until=timezone.now() + HOUR, label="future")
        run = tree.apply_async()
        assert states(run) == {"past": "SUCCESS", "future": "WAITING"}
        assert sweep(world.app).expired == 0
        world.pass_time()
        assert sweep(world.app).expired == 1
        assert run.state == "SUCCESS"

    def test_reminders(self, world, announced):
        run = waiting(world, remind_after=timedelta(hours=5), remind_every=timedelta(hours=3))
        for _ in range(4):
            world.pass_time()
            sweep(world.app)
        # After 5 and 8 hours; 12 hours have passed, and the next is due after 11.
        assert announced == [("approved", 0), ("approved", 1), ("approved", 2), ("approved", 3)]
        run.send_event("approved")
        world.pass_time()
        sweep(world.app)
        assert len(announced) == 4

    def test_reminders_that_no_sweep_has_sent_in_time_are_left_out(self, world, announced):
        waiting(world, remind_every=timedelta(minutes=1))
        world.pass_time()
        for _ in range(3):
            sweep(world.app)
        assert [label for label, _ in announced] == ["approved"] * 2
        assert announced[1][1] == 180

    def test_an_event_that_was_sent_in_time_wins(self, world):
        run = waiting(world, timeout=HOUR)
        RunEvent.objects.create(run_id=run.id, name="approved", payload="7")
        world.pass_time()
        sweep(world.app)
        assert wait_of(run).get() == 7

    def test_a_default_that_is_too_large_by_now(self, world, settings):
        run = waiting(world, timeout=HOUR, on_timeout="success", default="a long text")
        settings.TASKTREE = {"MAX_RESULT_SIZE": 3}
        world.pass_time()
        assert sweep(world.app).expired == 1
        with pytest.raises(ValueTooLarge):
            wait_of(run).get()

    def test_a_limited_pass_ends_all_waits_whose_time_has_passed(self, world, settings):
        settings.TASKTREE = {"BATCH_SIZE": 2}
        tree = TaskTree()
        for number in range(6):
            tree.wait_for(f"w{number}", timeout=timedelta(days=3) if number < 3 else HOUR, on_timeout="skip")
        run = tree.apply_async()
        world.pass_time()
        assert sweep(world.app, Scan({}, max_pages=1)).expired == 3
        assert sorted(states(run).values()) == ["SKIPPED"] * 3 + ["WAITING"] * 3

    @pytest.mark.parametrize("on_failure", ["continue", "stop"])
    def test_many_that_end_at_once_share_a_transaction(self, world, on_failure):
        numbers = []
        for number in (5, 25):
            tree = TaskTree(on_failure=on_failure)
            for position in range(number):
                tree.wait_for(f"w{position}", timeout=HOUR)
            run = tree.apply_async()
            world.pass_time()
            with CaptureQueriesContext(connections[write_alias()]) as queries:
                assert sweep(world.app).expired == (number if on_failure == "continue" else 1)
            numbers.append(len(queries))
            assert run.state == "FAILURE"
            assert set(states(run).values()) == {"FAILURE"} | ({"REVOKED"} if on_failure == "stop" else set())
        assert on_failure == "stop" or numbers[1] - numbers[0] <= 20 * 3

    def test_one_reminder(self, world, announced):
        waiting(world, remind_after=HOUR)
        for _ in range(3):
            world.pass_time()
            sweep(world.app)
        assert announced == [("approved", 0), ("approved", 1)]


class TestActions:
    def test_a_pause_keeps_a_wait_from_beginning(self, world, announced):
        run = approval().apply_async()
        (message,) = world.receive_all()
        run.pause()
        run.resume()
        run.pause()
        world.deliver(message, "w")
        run.resume()
        world.deliver_all("w")
        assert (states(run)["approved"], announced) == ("WAITING", [("approved", 0)])

    def test_a_wait_ends_during_a_pause_and_its_children_start_afterwards(self, world):
        run = waiting(world)
        run.pause()
        run.send_event("approved", 1)
        assert (wait_of(run).state, states(run)["publish"]) == ("SUCCESS", "PENDING")
        run.resume()
        world.deliver_all("w")
        assert run.state == "SUCCESS"

    def test_its_time_passes_during_a_pause(self, world):
        run = waiting(world, timeout=HOUR)
        run.pause()
        world.pass_time()
        sweep(world.app)
        assert (wait_of(run).state, states(run)["discard"]) == ("FAILURE", "PENDING")

    def test_a_paused_subtree(self, world):
        run = waiting(world)
        wait_of(run).pause()
        wait_of(run).complete()
        assert states(run)["publish"] == "PENDING"
        wait_of(run).resume()
        world.deliver_all("w")
        assert run.state == "SUCCESS"

    def test_a_wait_that_is_reached_during_a_pause_of_its_subtree_waits_after_it(self, world, announced):
        run = approval().apply_async()
        wait_of(run).pause()
        world.deliver_all("w")
        assert (states(run)["approved"], announced) == ("PENDING", [])
        wait_of(run).complete("early", by="jo")
        wait_of(run).resume()
        world.deliver_all("w")
        assert (run.state, announced) == ("SUCCESS", [])

    @pytest.mark.parametrize("of_node", [True, False])
    def test_revoke_ends_it_at_once(self, world, of_node):
        run = waiting(world)
        target = wait_of(run) if of_node else run
        assert target.preview("revoke").revoked == target.revoke().revoked == 3
        assert states(run)["approved"] == "REVOKED"
        assert run.state in ("FAILURE", "REVOKED")

    def test_a_failure_that_stops_the_run_revokes_it(self, world):
        tree = TaskTree(on_failure="stop")
        tree.wait_for("go")
        tree.add_task(fail, ["bad"])
        run = waiting(world, tree)
        assert (run["go"].state, run.state) == ("REVOKED", "FAILURE")

    def test_its_own_failure_stops_the_run(self, world):
        tree = TaskTree(on_failure="stop")
        tree.wait_for("go", timeout=HOUR)
        tree.wait_for("other")
        run = tree.apply_async()
        world.pass_time()
        sweep(world.app)
        assert (run["other"].state, run.state) == ("REVOKED", "FAILURE")

    def test_retry_lets_it_wait_again(self, world, announced):
        run = waiting(world, timeout=HOUR)
        world.pass_time()
        sweep(world.app)
        world.deliver_all("w")
        assert run.state == "FAILURE"
        assert run.preview("retry") == run.retry()
        assert (wait_of(run).state, run.state) == ("WAITING", "STARTED")
        assert wait_of(run).node.eta > timezone.now()
        assert announced == [("approved", 0)] * 2
        run.send_event("approved", 2)
        world.deliver_all("w")
        assert (run.state, wait_of(run).get()) == ("SUCCESS", 2)
        assert NodeAttempt.objects.get(node_id=wait_of(run).id).outcome == "FAILURE"

    def test_a_failed_wait_can_be_completed(self, world):
        run = waiting(world, timeout=HOUR, params=decision)
        world.pass_time()
        sweep(world.app)
        world.deliver_all("w")
        with pytest.raises(InvalidParameter):
            wait_of(run).complete({})
        wait_of(run).complete({"by": 3})
        world.deliver_all("w")
        assert (run.state, states(run)["publish"]) == ("SUCCESS", "SUCCESS")

    @pytest.mark.parametrize("on_timeout", ["failure", "success", "skip"])
    def test_rerun_lets_it_wait_again(self, world, on_timeout):
        run = waiting(world, timeout=HOUR, on_timeout=on_timeout)
        world.pass_time()
        sweep(world.app)
        world.deliver_all("w")
        assert wait_of(run).preview("rerun") == wait_of(run).rerun()
        world.deliver_all("w")
        assert (wait_of(run).state, run.state) == ("WAITING", "STARTED")
        assert states(run)["publish"] == "PENDING"

    def test_a_rerun_above_it_makes_it_wait_for_its_parent(self, world, announced):
        run = waiting(world)
        task_id = wait_of(run).task_id
        assert run["make"].preview("rerun") == run["make"].rerun()
        assert (states(run)["approved"], wait_of(run).task_id != task_id) == ("PENDING", True)
        world.deliver_all("w")
        assert (states(run)["approved"], announced) == ("WAITING", [("approved", 0)] * 2)

    def test_a_retry_above_it_takes_it_back(self, world):
        tree = TaskTree()
        tree.add_task(fail, ["bad"], label="bad").wait_for("handled", run_when="failure")
        run = waiting(world, tree)
        assert run["bad/handled"].state == "WAITING"
        assert run.preview("retry") == run.retry()
        assert run["bad/handled"].state == "PENDING"
        world.deliver_all("w")
        assert run["bad/handled"].state == "WAITING"

    def test_a_copy_has_it_too(self, world):
        run = waiting(world, params=decision, timeout=HOUR)
        copy = run.copy()
        world.deliver_all("w")
        with pytest.raises(InvalidParameter):
            copy.send_event("approved", {})
        copy.send_event("approved", {"by": 1})
        world.deliver_all("w")
        assert (copy.state, states(run)["approved"]) == ("SUCCESS", "WAITING")

    def test_nodes_are_added_below_it(self, world):
        run = waiting(world)
        wait_of(run).add_task(echo, ["more"], label="more")
        run.send_event("approved")
        world.deliver_all("w")
        assert states(run)["more"] == "SUCCESS"

    def test_nodes_are_added_beside_it(self, world):
        run = waiting(world)
        run["make"].add_task(echo, ["more"], label="more")
        world.deliver_all("w")
        assert (states(run)["more"], states(run)["approved"]) == ("SUCCESS", "WAITING")

    def test_a_gather_node_waits_for_it(self, world):
        tree = TaskTree()
        tree.wait_for("one")
        tree.add_task(echo, ["two"])
        tree.gather(echo, [tree.outputs], label="all")
        run = waiting(world, tree)
        assert run["all"].state == "PENDING"
        run.send_event("one", 1)
        world.deliver_all("w")
        assert run["all"].get() == [1, "two"]

    def test_an_event_that_another_node_takes_leaves_no_trace(self, world, monkeypatch):
        tree = TaskTree()
        for name in ("one", "two"):
            tree.wait_for("ok", label=name)
        run = waiting(world, tree)
        (one,) = open_waits([run["one"].id])
        find, taken = outcome_by_event, []

        def take_first(wait):
            found = find(wait)
            if found is not None and not taken:
                event, outcome = found
                taken.extend(wait_steps.end_wait(one, outcome, event))
            return found

        with monkeypatch.context() as raced:
            raced.setattr(wait_ends, "end_waits_by_event_now", lambda *_: 0)
            raced.setattr("django_tasktree.control.waits.end_waits_by_event_now", lambda *_: 0)
            run.send_event("ok", 1)
        monkeypatch.setattr(wait_steps, "outcome_by_event", take_first)
        (two,) = open_waits([run["two"].id])
        assert list(wait_steps.end_by_event(two)) == []
        assert (run["one"].state, len(taken)) == ("SUCCESS", 1)
        row = NodeRun.objects.get(id=run["two"].id)
        assert (row.state, row.attempts, row.started_at) == ("WAITING", 0, None)

    @pytest.mark.parametrize("top", [True, False])
    def test_a_quorum_is_reached_and_the_process_is_lost(self, world, monkeypatch, top):
        """The sweep starts the gather node, although another node still waits."""
        tree = TaskTree()
        parent = tree if top else tree.add_task(echo, label="above")
        for name in ("a", "b", "c"):
            parent.wait_for(name)
        parent.gather(echo, ["two are enough"], when=2, label="two")
        run = waiting(world, tree)
        above = run if top else run["above"]
        run.send_event("a")
        with monkeypatch.context() as lost:
            lost.setattr(wait_ends, "process_all", lambda *_: None)
            run.send_event("b")
        world.pass_time()
        assert (above["two"].state, sweep(world.app).settled) == ("PENDING", 1)
        world.deliver_all("w")
        assert (above["two"].state, above["c"].state) == ("SUCCESS", "WAITING")
        assert not sweep(world.app)

    def test_it_is_not_deleted_while_it_waits(self, world):
        with pytest.raises(NotPossible):
            waiting(world).delete()

    def test_a_change_in_batches_is_not_disturbed(self, world, settings):
        settings.TASKTREE = {"BATCH_SIZE": 2}
        run = waiting(world, timeout=HOUR)
        assert run["make"].rerun().again == 2
        world.deliver_all("w")
        assert run.revoke().revoked == 3

    @pytest.mark.parametrize(("comes", "state"), [("event", "SUCCESS"), ("time", "FAILURE")])
    def test_what_comes_during_a_change_ends_the_node_afterwards(self, world, comes, state):
        run = waiting(world, timeout=HOUR)
        change = changing(run, run["make"], Action.RESUME)
        if comes == "event":
            run.send_event("approved", 1)
        else:
            NodeRun.objects.filter(id=wait_of(run).id).update(eta=timezone.now() - HOUR)
            assert sweep(world.app).expired == 0
        assert wait_of(run).state == "WAITING"
        carry_out(change)
        assert wait_of(run).state == state

    def test_an_event_during_a_change_whose_process_was_lost(self, world):
        """The sweep ends the node if the process was lost after the change."""
        run = waiting(world)
        TreeRun.objects.filter(id=run.id).update(state="CHANGING")
        run.send_event("approved", 1)
        assert wait_of(run).state == "WAITING"
        TreeRun.objects.filter(id=run.id).update(state="STARTED")
        assert sweep(world.app).answered == 1
        assert wait_of(run).get() == 1


class TestLimits:
    def test_a_wait_occupies_no_place(self, world, announced):
        tree = TaskTree(max_active=1)
        tree.wait_for("go")
        tree.add_task(echo, ["a"], label="a")
        tree.add_task(echo, ["b"], label="b")
        run = tree.apply_async()
        assert announced == [("go", 0)]
        world.deliver_all("w")
        assert states(run) == {"go": "WAITING", "a": "SUCCESS", "b": "SUCCESS"}
        run.send_event("go")
        assert run.state == "SUCCESS"

    def test_a_wait_below_a_limited_node(self, world):
        tree = TaskTree()
        top = tree.add_task(echo, ["top"], label="top", max_active=1)
        top.wait_for("go").add_task(echo, ["after"], label="after")
        for number in range(3):
            top.add_task(echo, [number], label=str(number))
        run = waiting(world, tree)
        assert states(run) == {
            "top": "SUCCESS",
            "go": "WAITING",
            "after": "PENDING",
            **{str(number): "SUCCESS" for number in range(3)},
        }
        run.send_event("go")
        world.deliver_all("w")
        assert run.state == "SUCCESS"


class TestSweep:
    def test_a_run_that_only_waits_is_left_alone(self, world, caplog):
        run = waiting(world)
        world.pass_time()
        assert not sweep(world.app)
        assert run.state == "STARTED"
        assert "stuck" not in caplog.text

    def test_what_a_crash_left_undone_is_done(self, world, announced):
        run = waiting(world, timeout=HOUR)
        announced.clear()
        NodeRun.objects.filter(label="approved").update(eta=None, resend_count=0)
        assert not sweep(world.app), "it may just be processed"
        NodeRun.objects.filter(label="approved").update(queued_at=timezone.now() - timedelta(minutes=1))
        assert sweep(world.app).announced == 1
        assert announced == [("approved", 0)]
        assert timedelta(minutes=58) < wait_of(run).node.eta - timezone.now() < timedelta(minutes=60)
        assert not sweep(world.app)


class TestEager:
    def test_a_wait_node_stays_and_is_completed(self, database, eager):
        run = approval(timeout=timedelta(seconds=1)).apply_async()
        assert wait_of(run).state == "WAITING"
        wait_of(run).complete(3)
        assert (run.state, run["make/approved/publish"].get()) == ("SUCCESS", 3)

    def test_a_sleep_ends_at_once(self, database, eager):
        tree = TaskTree()
        tree.add_task(echo, ["a"]).sleep(timedelta(days=1)).add_task(echo, ["b"])
        assert tree.apply_async().state == "SUCCESS"

    def test_a_long_chain_of_sleeps_needs_no_stack(self, database, eager):
        tree = TaskTree()
        node = tree.sleep(timedelta(days=1))
        for _ in range(150):
            node = node.sleep(timedelta(days=1))
        assert tree.apply_async().state == "SUCCESS"


@pytest.mark.parametrize("depth", [200])
def test_a_long_chain_of_early_events_needs_no_stack(world, depth):
    tree = TaskTree()
    node = tree.add_task(echo, ["a"]).wait_for("go")
    for _ in range(depth - 1):
        node = node.wait_for("go")
    run = tree.apply_async()
    for _ in range(depth):
        run.send_event("go")
    world.deliver_all("w")
    assert run.state == "SUCCESS"


class TestOtherParts:
    def test_run_tree_leaves_it_waiting(self, database):
        run = run_tree(approval())
        assert wait_of(run).state == "WAITING"
        run.send_event("approved", 1)
        assert wait_of(run).state == "SUCCESS"

    def test_a_draft_with_waits_is_not_edited_by_hand(self, world):
        run = approval().apply_async(draft=True)
        with pytest.raises(NotPossible, match="has wait nodes"):
            read_rows(run.id)

    @pytest.mark.parametrize("completes", [True, False])
    def test_a_receiver_may_answer_at_once_again_and_again(self, world, caplog, completes):
        """Without a stack that becomes deeper with each answer."""
        depths = set()

        def answer(run_id, node_id, label, **_):
            depths.add(len(inspect.stack(0)))
            if completes:
                NodeResult(node_id).complete("at once")
            else:
                TreeResult(run_id).send_event(label, "at once")

        tree = TaskTree()
        node = tree.add_task(echo, ["a"], label="a").wait_for("go")
        for _ in range(9):
            node = node.wait_for("go")
        node.add_task(echo, ["b"])
        node_waiting.connect(answer)
        try:
            run = waiting(world, tree)
        finally:
            node_waiting.disconnect(answer)
        assert (run.state, run["a/go"].get(), len(depths)) == ("SUCCESS", "at once", 1)
        assert not sweep(world.app)

    def test_the_launch_is_idempotent(self, world):
        tree = TaskTree()
        tree.wait_for("go")
        run = tree.apply_async(key="once")
        assert tree.apply_async(key="once").id == run.id

    def test_bulk_completes_many(self, world):
        tree = TaskTree()
        for number in range(3):
            tree.wait_for(f"w{number}")
        run = tree.apply_async()
        bulk(NodeRun.objects.filter(run_id=run.id)).complete(result=1)
        assert run.state == "SUCCESS"
