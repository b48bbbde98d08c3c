"""Events between two batches of an action: crashes, other actions, deadlines, and nodes that finish."""

from contextlib import suppress
from datetime import timedelta
from functools import partial
from itertools import count
from unittest import mock

import pytest
from django.db import OperationalError, transaction

from django_tasktree import NodeResult, TaskTree, TreeResult
from django_tasktree.control import changes as changing
from django_tasktree.control import operations
from django_tasktree.control.purge import delete_run
from django_tasktree.dispatch.after_commit import advance_and_settle_now
from django_tasktree.encoding import times
from django_tasktree.engine.control.change import Change
from django_tasktree.engine.database_retries import retry_transient
from django_tasktree.engine.history import open_entries
from django_tasktree.engine.lifecycle.claim import claim, defer_claim
from django_tasktree.engine.lifecycle.stop import stop_run
from django_tasktree.engine.recovery.runs import interrupted_changes
from django_tasktree.exceptions import NotPossible, RunNotFound
from django_tasktree.management.display.history import entry_json, history_lines
from django_tasktree.models import HistoryEntry, NodeRun, TreeRun
from django_tasktree.recovery.sweep import sweep
from django_tasktree.states import CLAIMABLE, RUN_FINAL, NodeState, RunState
from tests.integration.control.changes import (
    age_changes,
    before_batch,
    die_before_batch,
    failed_fan,
    fan,
    finish_started_nodes,
    finish_with_added_nodes,
    one_top,
    rerun_top,
    scenes,
    snapshot,
    snapshot_without_keys,
    start_some,
    top_of,
)
from tests.integration.control.play import end, play, queued, states, take
from tests.integration.engine.trees import ref
from tests.sample.tasks import echo


@scenes
def test_the_sweep_continues_the_action_of_a_lost_process(database, small_batches, app, act, prepare):
    expected = one_top(prepare)
    act(expected)
    for number in range(30):
        result = one_top(prepare)
        before, state = snapshot_without_keys(result.id), result.state
        try:
            with die_before_batch(number):
                act(result)
        except KeyboardInterrupt:
            assert result.state == "CHANGING"
            entry = HistoryEntry.objects.get(run_id=result.id, last_batch_at__isnull=False)
            assert entry.state_before in (state, "STARTED")
            age_changes()
            assert sweep(app).continued == entry.is_checked
        else:
            break
        # An action that could still have been refused is cancelled: its caller no longer waits for it.
        wanted = snapshot_without_keys(expected.id) if entry.is_checked else before
        assert snapshot_without_keys(result.id) == wanted, f"died before batch {number}"
    assert 2 < number < 30
    assert not sweep(app).continued


@scenes
def test_no_node_starts_during_an_action(database, small_batches, act, prepare):
    result = one_top(prepare)
    with die_before_batch(1), pytest.raises(KeyboardInterrupt):
        act(result)
    for row in NodeRun.objects.filter(run_id=result.id, state__in=CLAIMABLE):
        assert not claim(ref(row.id), "w")
        assert not defer_claim(ref(row.id)).again
    assert not queued(result.id)
    advance_and_settle_now(result.id)
    assert not queued(result.id)
    assert result.state == "CHANGING"


@scenes
def test_other_actions_are_refused_during_an_action(database, small_batches, act, prepare):
    result = one_top(prepare)
    top = NodeResult(top_of(result))
    with die_before_batch(1), pytest.raises(KeyboardInterrupt):
        act(result)
    before = snapshot(result.id)
    for ask in (
        result.pause,
        result.resume,
        result.retry,
        top.pause,
        top.resume,
        top.retry,
        top.rerun,
        top.complete,
        top.revoke,
    ):
        with pytest.raises(NotPossible):
            ask()
        action = ask.__name__
        with pytest.raises(NotPossible):
            ask.__self__.preview(action)  # type: ignore[union-attr]
    with pytest.raises(NotPossible, match="has not ended"):
        delete_run(result.id)
    assert snapshot(result.id) == before


@scenes
@pytest.mark.parametrize("ended_by", ["revoke", "failure"])
def test_an_action_is_aborted_if_the_run_is_ended(database, small_batches, app, act, prepare, ended_by):
    """The process that carries out the action notices the end before its next batch."""
    result = one_top(prepare)
    calls = []
    original = Change.step

    def end_run_first(self, step):
        if not calls:
            calls.append("ended")
            if ended_by == "revoke":
                TreeResult(result.id).revoke()
            else:
                with transaction.atomic(using=database):
                    assert stop_run(result.id, RunState.FAILURE, "a node failed") is not None
        return original(self, step)

    with (
        mock.patch.object(Change, "step", end_run_first),
        pytest.raises(NotPossible, match="was aborted: the run was ended"),
    ):
        act(result)
    assert result.state == ("REVOKED" if ended_by == "revoke" else "FAILURE")
    assert not open_entries().exists()
    rows = NodeRun.objects.filter(run_id=result.id).exclude(state=NodeState.STARTED)
    assert not rows.filter(settled=False, state__in=["PENDING", "QUEUED", "RETRY"]).exists()
    finish_started_nodes(result)
    assert result.state in RUN_FINAL
    assert not sweep(app).continued


@scenes
def test_two_processes_carry_out_an_action_once(database, small_batches, app, act, prepare):
    """The first process is only slow: the sweep has continued its action in the meantime."""
    expected = one_top(prepare)
    act(expected)
    result = one_top(prepare)
    # A rerun first checks whether it is possible; another process may continue it only after that.
    original, swept, before = Change.step, [], iter(range(6 if act is rerun_top else 0))

    def sweep_first(self, step):
        if next(before, None) is None and not swept:
            swept.append(None)
            age_changes()
            swept[0] = sweep(app).continued
        return original(self, step)

    with mock.patch.object(Change, "step", sweep_first):
        act(result)
    assert swept == [1]
    assert snapshot_without_keys(result.id) == snapshot_without_keys(expected.id)


@scenes
def test_a_sweep_without_time_leaves_the_rest_of_an_action_to_the_next(database, small_batches, app, act, prepare):
    expected = one_top(prepare)
    act(expected)
    result = one_top(prepare)
    with die_before_batch(6 if act is rerun_top else 1), pytest.raises(KeyboardInterrupt):
        act(result)
    age_changes()
    passes = 0
    while open_entries().exists():
        passes += 1
        answers = iter([True] * 2)
        with suppress(changing.Interrupted):
            changing.continue_change(open_entries().get(), partial(next, answers, False))
        assert len(interrupted_changes(times.now())) == open_entries().count(), "the next pass continues it at once"
    assert passes > 1
    assert snapshot_without_keys(result.id) == snapshot_without_keys(expected.id)


def test_a_node_can_be_added_during_an_action(database, small_batches):
    result = failed_fan()
    node = NodeRun.objects.get(run_id=result.id, args='["n3"]')
    original, added = Change.step, []

    def add_first(self, step):
        if not added:
            added.append(NodeResult(node.id).add_task(echo, ["added"]))
        return original(self, step)

    with mock.patch.object(Change, "step", add_first):
        result.retry()
    assert result.state == "STARTED"
    play(result.id)
    assert result.state == "SUCCESS"
    assert states(result.id)["added"] == "SUCCESS"


def test_what_is_added_below_nodes_that_a_rerun_deletes_is_deleted_too(database, small_batches):
    """A node is added before each of the batches in turn."""
    outcomes = []

    def add(key):
        try:
            NodeResult(key).add_task(echo, ["late"]).add_task(echo, ["later"])
            outcomes.append("added")
        except RunNotFound:
            outcomes.append("refused")

    for number in count():
        result = one_top(finish_with_added_nodes)
        deleted = NodeRun.objects.filter(run_id=result.id, added_at_runtime=True)
        with before_batch(partial(add, deleted[0].id), number):
            rerun_top(result)
        left = {"below2", "below3", "gather", "gather below", "n0", "n1", "n2", "n3", "top"}
        assert states(result.id).keys() == left
        if len(outcomes) == number:
            break
    assert outcomes[0] == "added"
    assert outcomes[-1] == "refused"


def test_nodes_may_finish_during_an_action(database, small_batches):
    """Running nodes are not disturbed, and their outcomes count."""
    result = fan(6)
    attempts = [(name, take(result.id, name)) for name in queued(result.id)]
    for _, message in attempts[:4]:
        end(message, "failure")
    original, rest = Change.step, attempts[4:]

    def end_one(self, step):
        if rest:
            end(rest.pop()[1], "success" if len(rest) else "failure")
        return original(self, step)

    with mock.patch.object(Change, "step", end_one):
        result.retry()
    assert not rest
    play(result.id)
    assert result.state == "FAILURE"
    assert states(result.id)["n4"] == "FAILURE"
    result.retry()
    play(result.id)
    assert result.state == "SUCCESS"


def test_a_rerun_that_is_refused_changes_nothing(database, small_batches):
    """A running node is found only after most nodes were checked."""
    result = one_top(start_some)
    end(ref(NodeRun.objects.get(run_id=result.id, args='["n0"]').id))
    names = queued(result.id)
    take(result.id, "n3")
    before = snapshot(result.id)
    with pytest.raises(NotPossible, match="is running, and would run twice"):
        NodeResult(top_of(result)).rerun()
    assert snapshot(result.id) == before
    assert sorted(queued(result.id)) == sorted(set(names) - {"n3"})
    finish_started_nodes(result)
    play(result.id)
    assert result.state == "SUCCESS"


def test_a_rerun_that_is_refused_does_not_reopen_a_run_that_was_revoked(database, small_batches):
    """The run is revoked after the rerun was refused, and before the rerun is cancelled."""
    result = one_top(start_some)
    revoked = []

    def revoke_first(act):
        if not revoked:
            revoked.append(True)
            TreeResult(result.id).revoke()
        return retry_transient(act)

    with mock.patch.object(changing, "retry_transient", revoke_first), pytest.raises(NotPossible, match="is running"):
        NodeResult(top_of(result)).rerun()
    assert result.state == "REVOKED"
    assert revoked
    assert not open_entries().exists()
    assert [entry.action for entry in result.history if entry.was_aborted] == ["rerun"]


def test_a_draft_is_revoked(database, small_batches):
    tree = TaskTree("draft")
    for number in range(5):
        tree.add_task(echo, [number])
    result = tree.apply_async(draft=True)
    assert result.preview("revoke") == result.revoke()
    assert result.state == "REVOKED"


@pytest.mark.parametrize("action", ["pause", "resume", "revoke"])
def test_an_action_without_effect_leaves_a_run_ended(database, small_batches, action):
    result = one_top(finish_with_added_nodes)
    with mock.patch.object(Change, "step") as step:
        getattr(NodeResult(top_of(result)), action)()
    assert not step.called
    assert result.state == "SUCCESS"


def test_a_node_can_be_added_once_a_retry_has_reopened_the_run(database, small_batches):
    """The run is open as soon as the retry can no longer be refused."""
    result = failed_fan()
    node = NodeRun.objects.get(run_id=result.id, args='["handler1"]')
    with before_batch(lambda: NodeResult(node.id).add_task(echo, ["added"])):
        result.retry()
    assert result.state == "STARTED"
    play(result.id)
    assert states(result.id)["added"] == "SUCCESS"


def test_the_time_between_two_ends_of_a_run_is_no_duration(database, small_batches):
    result = failed_fan()
    long_ago = times.now() - timedelta(days=30)
    TreeRun.objects.filter(id=result.id).update(started_at=long_ago, finished_at=long_ago)
    with before_batch(lambda: TreeResult(result.id).revoke()), pytest.raises(NotPossible):
        result.retry()
    assert result.run.duration < timedelta(days=1)


def test_of_two_retries_the_second_is_refused(database, small_batches):
    """The other retry is carried out after this one has looked for failed nodes."""
    result = failed_fan()
    calls = []
    original = operations.find_failed  # type: ignore[attr-defined]

    def find_then_retry_elsewhere(*args):
        found = original(*args)
        if not calls:
            calls.append("retried")
            TreeResult(result.id).retry()
            play(result.id)
        return found

    with (
        mock.patch.object(operations, "find_failed", find_then_retry_elsewhere),
        pytest.raises(NotPossible, match="nothing in run"),
    ):
        result.retry()
    assert result.state == "SUCCESS"
    assert [entry.action for entry in result.history] == ["retry"]


def test_the_history_shows_an_aborted_action(database, small_batches):
    result = failed_fan()
    with before_batch(lambda: TreeResult(result.id).revoke(), at=1), pytest.raises(NotPossible):
        result.retry()
    retry, revoke = result.history
    assert (retry.was_aborted, revoke.was_aborted) == (True, False)
    assert [line.plain.split("  ")[1] for line in history_lines(result.history, {})] == [
        "retry, 2 nodes, then aborted",
        f"revoke, {revoke.nodes} nodes",
    ]
    assert [entry_json(entry, {})["state"] for entry in result.history] == ["aborted", "done"]


def test_a_deadlock_at_the_end_of_an_action_is_retried(database, small_batches):
    result = failed_fan()
    original, failures = Change.end, [OperationalError(1213, "Deadlock found")]

    def fail_once(self):
        if failures:
            raise failures.pop()
        return original(self)

    with mock.patch.object(Change, "end", fail_once):
        assert result.retry().again == 15
    assert result.state == "STARTED"


def test_a_paused_run_stays_paused(database, small_batches):
    result = fan()
    attempts = [take(result.id, name) for name in queued(result.id)]
    result.pause()
    for attempt in attempts:
        end(attempt, "failure")
    result.retry()
    assert result.state == "PAUSED"
    assert not queued(result.id)
    result.resume()
    play(result.id)
    assert result.state == "SUCCESS"
