"""Runs whose actions are carried out in batches, and events between two batches."""

from datetime import timedelta
from unittest import mock

import pytest
from django.db import transaction

from django_tasktree import NodeResult, TaskTree
from django_tasktree.encoding import times
from django_tasktree.engine.control.change import Change
from django_tasktree.engine.history import open_entries
from django_tasktree.models import HistoryEntry, NodeRun, TreeRun
from django_tasktree.states import NodeState
from tests.integration.control.play import end, play, take
from tests.integration.control.test_previews import outcome_of
from tests.integration.engine.trees import ref
from tests.sample.tasks import echo


def fan(width=7, **options):
    """Launch a run of root nodes, each with a child and a failure handler."""
    tree = TaskTree("fan", **options)
    for number in range(width):
        node = tree.add_task(echo, [f"n{number}"])
        node.add_task(echo, [f"below{number}"])
        node.add_task(echo, [f"handler{number}"], run_when="failure")
    tree.gather(echo, ["gather"])
    return tree.apply_async()


def failed_fan(width=7):
    """Return a run whose root nodes have failed."""
    result = fan(width)
    play(result.id, **{f"n{number}": "failure" for number in range(width)})
    assert result.state == "FAILURE"
    return result


def die_before_batch(number):
    """Raise KeyboardInterrupt before a batch, as if the process died there: a context manager."""
    batches = iter(range(number))

    def die(self, *args):
        if next(batches, None) is None:
            raise KeyboardInterrupt
        return original(self, *args)

    original = Change.step
    return mock.patch.object(Change, "step", die)


def age_changes():
    """Set the changes in progress back by a minute, so that the sweep continues them."""
    assert open_entries().update(last_batch_at=times.now() - timedelta(minutes=1))


COLUMNS = (
    *("id", "state", "runnable", "hold", "settled", "subtree_failed", "attempts", "retries", "child_count", "result"),
    "parent",
)


def snapshot(run_id):
    """Return everything that an action could change in a run, without random IDs and times."""
    run = TreeRun.objects.filter(id=run_id).values_list("state", "error_message", "deadline").get()
    nodes = list(NodeRun.objects.filter(run_id=run_id).order_by("id").values_list(*COLUMNS))
    history = HistoryEntry.objects.filter(run_id=run_id, last_batch_at=None).order_by("id")
    return run, nodes, list(history.values_list("action", "node", "nodes", "note"))


def in_one_transaction(alias, ask, run_id):
    """Return the outcome of an action and a snapshot after it; everything is rolled back."""
    with transaction.atomic(using=alias):
        effect = outcome_of(ask)
        found = snapshot(run_id)
        transaction.set_rollback(True, using=alias)
        return effect, found


def retry_run(result):
    result.retry()


def retry_subtree(result):
    NodeResult(top_of(result)).retry()


def rerun_top(result):
    NodeResult(top_of(result)).rerun()


def pause_top(result):
    NodeResult(top_of(result)).pause()


def resume_top(result):
    NodeResult(top_of(result)).resume()


def revoke_top(result):
    NodeResult(top_of(result)).revoke()


def revoke_run(result):
    result.revoke()


def top_of(result):
    """Return the ID of the only root node that is no gather node."""
    return NodeRun.objects.get(run_id=result.id, parent=None, is_gather=False).id


def one_top(prepare):
    """Launch a run of one root node with nine nodes below it, and prepare it."""
    tree = TaskTree("one top")
    top = tree.add_task(echo, ["top"])
    for number in range(4):
        node = top.add_task(echo, [f"n{number}"])
        node.add_task(echo, [f"below{number}"])
    top.gather(echo, ["gather below"])
    tree.gather(echo, ["gather"])
    result = tree.apply_async()
    prepare(result)
    return result


def fail_children(result):
    """Finish the run; the children of the root node fail."""
    play(result.id, n0="failure", n1="failure", n2="failure", n3="failure")


def finish_with_added_nodes(result):
    """Finish the run; some of its nodes were added by task functions, so that a rerun removes them."""
    play(result.id)
    some = NodeRun.objects.filter(run_id=result.id, child_count=1).order_by("id")
    NodeRun.objects.filter(parent__in=list(some.values_list("id", flat=True)[:2])).update(added_at_runtime=True)


def start_some(result):
    """Finish the root node and start one of its children."""
    end(take(result.id, "top"))
    take(result.id, "n0")


def start_and_pause(result):
    """Start some nodes, then pause the subtree."""
    start_some(result)
    NodeResult(top_of(result)).pause()


SCENES = {
    retry_run: fail_children,
    retry_subtree: fail_children,
    rerun_top: finish_with_added_nodes,
    pause_top: start_some,
    resume_top: start_and_pause,
    revoke_top: start_some,
    revoke_run: start_some,
}
scenes = pytest.mark.parametrize(("act", "prepare"), SCENES.items(), ids=lambda function: function.__name__)


def snapshot_without_keys(run_id):
    """Return a snapshot in which positions replace the IDs, to compare two runs."""
    run, nodes, history = snapshot(run_id)
    numbers = {row[0]: number for number, row in enumerate(nodes)}
    named = [(*row[1:-1], numbers.get(row[-1])) for row in nodes]
    return run, named, [(action, numbers.get(node), moved, note) for action, node, moved, note in history]


def finish_started_nodes(result):
    for row in NodeRun.objects.filter(run_id=result.id, state=NodeState.STARTED):
        end(ref(row.id))


def before_batch(act, at=0):
    """Call a function once, before a batch of an action: a context manager."""
    original, batches = Change.step, iter(range(at))
    done = []

    def step(self, part):
        if next(batches, None) is None and not done:
            done.append(act())
        return original(self, part)

    return mock.patch.object(Change, "step", step)


def pass_the_deadline(run_id):
    """Set the deadline of a run to a minute ago."""
    TreeRun.objects.filter(id=run_id).update(deadline=times.now() - timedelta(minutes=1))
