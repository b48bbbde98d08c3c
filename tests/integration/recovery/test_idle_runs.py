"""The sweep finds an open run without active or runnable nodes, and continues it."""

from datetime import timedelta

import pytest
from django.db import connections
from django.db.models import F
from django.test.utils import CaptureQueriesContext

from django_tasktree import TaskTree
from django_tasktree.models import NodeRun, TreeRun
from django_tasktree.recovery.sweep import sweep
from tests.integration.control.play import end, play, states, take
from tests.sample.tasks import echo

pytestmark = pytest.mark.usefixtures("database")


def launch():
    """Launch a run of a chain, a failure handler with nodes below it, and a gather node."""
    tree = TaskTree()
    top = tree.add_task(echo, ["a"])
    top.add_task(echo, ["b"]).add_task(echo, ["c"])
    handler = top.add_task(echo, ["handler"], run_when="failure")
    handler.add_task(echo, ["below"])
    handler.gather(echo, ["hg"], run_when="always")
    tree.gather(echo, ["g"])
    return tree.apply_async()


def node(name):
    """Return a queryset of one node."""
    return NodeRun.objects.filter(args=f'["{name}"]')


def sweep_an_hour_later(app):
    """Set the ends of nodes back by an hour, then sweep."""
    NodeRun.objects.filter(finished_at__isnull=False).update(finished_at=F("finished_at") - timedelta(hours=1))
    return sweep(app)


def test_a_skipped_node_that_is_not_settled_is_settled(app):
    result = launch()
    for name in "abc":
        end(take(result.id, name))
        node("handler").filter(state="SKIPPED").update(settled=False)
        node("a").update(settled=False)
    assert result.state == "STARTED"
    sweep_an_hour_later(app)
    assert play(result.id) == ["g"]
    assert result.state == "SUCCESS"
    assert states(result.id)["hg"] == "PENDING"


def test_a_paused_run_with_a_runnable_gather_node_needs_no_repair(app):
    tree = TaskTree()
    tree.add_task(echo, ["a"])
    tree.gather(echo, ["g"])
    result = tree.apply_async()
    attempt = take(result.id, "a")
    result.pause()
    end(attempt)
    assert NodeRun.objects.get(run_id=result.id, runnable=True).is_gather
    assert not sweep_an_hour_later(app)
    result.resume()
    assert play(result.id) == ["g"]
    assert result.state == "SUCCESS"


@pytest.mark.parametrize(("when", "played"), [("success", ["b", "c", "g"]), ("failure", ["g"])])
def test_a_node_that_was_not_released_is_released(app, when, played):
    result = launch()
    end(take(result.id, "a"))
    node("b").update(state="PENDING", runnable=False, settled=False, run_when=when)
    assert sweep_an_hour_later(app).settled
    assert play(result.id) == played
    assert result.state == "SUCCESS"


def test_a_node_below_a_revoked_node_is_revoked(app):
    result = launch()
    end(take(result.id, "a"))
    node("b").update(state="REVOKED", hold="revoked", settled=False, subtree_failed=True)
    assert sweep_an_hour_later(app).settled
    assert states(result.id)["c"] == "REVOKED"
    assert result.state == "FAILURE"


def test_a_root_node_that_was_not_released_is_released(app):
    result = launch()
    node("a").update(state="PENDING")
    assert sweep_an_hour_later(app).settled
    assert play(result.id) == ["a", "b", "c", "g"]


def test_a_run_that_has_just_changed_is_left_alone(app):
    result = launch()
    end(take(result.id, "a"))
    node("b").update(state="PENDING")
    assert not sweep(app)


@pytest.mark.parametrize("action", ["pause", None])
def test_a_run_that_waits_is_left_alone(app, action):
    result = launch()
    if action:
        end(take(result.id, "a"))
        result.children[0].pause()
        node("b").update(state="PENDING", runnable=True)
    NodeRun.objects.filter(queued_at__isnull=False).update(queued_at=F("queued_at"))
    assert not sweep_an_hour_later(app)


def test_the_search_for_idle_runs_takes_a_constant_number_of_queries(app, database):
    counts = []
    for number in (1, 20):
        for _ in range(number):
            launch()
        with CaptureQueriesContext(connections[database]) as context:
            sweep(app)
        counts.append(len(context.captured_queries))
    assert counts[0] == counts[1]
    assert TreeRun.objects.count() == 21
