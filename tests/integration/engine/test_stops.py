"""Stops, as described in docs/conditions.rst and docs/states.rst."""

import pytest
from kombu.exceptions import OperationalError

from django_tasktree import TaskTree
from django_tasktree.builder.nodes import NodeParent
from django_tasktree.builder.plan import plan_nodes
from django_tasktree.dispatch import shared_messages, termination
from django_tasktree.dispatch.after_commit import finish_and_propagate
from django_tasktree.engine.lifecycle.claim import claim
from django_tasktree.engine.lifecycle.finish import finish
from django_tasktree.engine.lifecycle.settle import finished_but_unsettled, settle
from django_tasktree.engine.lifecycle.stop import stop_subtree
from django_tasktree.engine.steps import AT_ONCE
from django_tasktree.engine.types import Outcome, Placement, Taker
from django_tasktree.models import NodeRun, TreeRun
from django_tasktree.states import NodeState
from tests.integration.engine.trees import FAILURE, SUCCESS, insert_run, ref
from tests.sample.tasks import echo


def test_a_revoked_node_that_may_fail_does_not_fail_its_run(database):
    tree = TaskTree()
    tree.add_task(echo)
    optional = tree.add_task(echo, allow_failure=True)
    launched, keys = insert_run(tree)
    stop_subtree(AT_ONCE, launched.run_id, keys[optional])
    first = ref(launched.dispatches[0].id)
    claim(first, "w")
    finish(first, SUCCESS)
    for start in (*finished_but_unsettled(launched.run_id), None):
        settle(launched.run_id, start)
    assert TreeRun.objects.get(id=launched.run_id).state == "SUCCESS"


@pytest.mark.parametrize("on_tree", [True, False])
def test_what_a_failure_terminates(database, monkeypatch, on_tree):
    """The tasks that run in the scope, except those of the message that this process handles."""
    ended = []
    monkeypatch.setattr(termination, "terminate", ended.append)
    tree = TaskTree(on_failure="terminate" if on_tree else "continue")
    top = tree.add_task(echo, on_failure="continue" if on_tree else "terminate")
    outside = tree.add_task(echo)
    broken, beside, above = (top.add_task(echo) for _ in range(3))
    below = above.add_task(echo)
    waiting = top.add_task(echo)
    launched, keys = insert_run(tree)
    for node in (top, outside):
        claim(ref(keys[node]), "w")
    finish_and_propagate(ref(keys[top]), SUCCESS)
    for node in (broken, beside, above):
        claim(ref(keys[node]), "w")
    finish_and_propagate(ref(keys[above]), SUCCESS)
    claim(ref(keys[below]), "w")
    taker = Taker(launched.run_id, "", ref(keys[beside]).task_id, "w", None)
    with shared_messages.taking(taker, 0):
        finish_and_propagate(ref(keys[broken]), FAILURE)
    wanted = [below, outside] if on_tree else [below]
    assert [set(found) for found in ended] == [{ref(keys[node]).task_id for node in wanted}]
    states = dict(NodeRun.objects.values_list("id", "state"))
    assert [states[keys[node]] for node in (broken, beside, waiting)] == ["FAILURE", "STARTED", "REVOKED"]


def test_a_broker_that_is_away_does_not_hide_the_failure(database, monkeypatch, caplog):
    def refuse(*_args, **_options):
        raise OperationalError("away")

    monkeypatch.setattr("celery.app.control.Control.revoke", refuse)
    tree = TaskTree(on_failure="terminate")
    broken, running = tree.add_task(echo), tree.add_task(echo)
    launched, keys = insert_run(tree)
    for node in (broken, running):
        claim(ref(keys[node]), "w")
    finish_and_propagate(ref(keys[broken]), FAILURE)
    assert TreeRun.objects.get(id=launched.run_id).state == "FAILURE"
    assert "could not be terminated after a failure" in caplog.text


def test_nodes_added_in_a_stopped_run_are_revoked(database):
    tree = TaskTree(on_failure="stop")
    grower, broken = tree.add_task(echo), tree.add_task(echo)
    _, keys = insert_run(tree)
    one, two = (ref(keys[node]) for node in (grower, broken))
    claim(one, "w")
    claim(two, "w")
    finish(two, FAILURE)
    extra = NodeParent()
    extra.add_task(echo)
    specs = tuple(plan_nodes(extra, Placement(one.run_id, one.id, 0)))
    finish(one, Outcome(NodeState.SUCCESS, result="1", added=specs))
    child = NodeRun.objects.get(parent_id=one.id)
    assert (child.state, child.runnable) == ("REVOKED", False)
