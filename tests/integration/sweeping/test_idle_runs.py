"""An open run in which nothing is active or ready is found, whatever has led to that, and goes on."""

from datetime import timedelta

import pytest
from django.db import connections
from django.db.models import F
from django.test.utils import CaptureQueriesContext

from django_tasktree import TaskTree
from django_tasktree.models import NodeRun, TreeRun
from django_tasktree.sweeping import sweep
from tests.integration.steering.play import end, play, states, take
from tests.sample.tasks import echo

pytestmark = pytest.mark.usefixtures("database")


def launched():
    tree = TaskTree()
    top = tree.add_task(echo, ["a"])
    top.add_task(echo, ["b"]).add_task(echo, ["c"])
    handler = top.add_task(echo, ["handler"], run_when="failure")
    handler.add_task(echo, ["below"])
    handler.gather(echo, ["hg"], run_when="always")
    tree.gather(echo, ["g"])
    return tree.apply_async()


def named(name):
    return NodeRun.objects.filter(args=f'["{name}"]')


def long_after(app):
    NodeRun.objects.filter(finished_at__isnull=False).update(finished_at=F("finished_at") - timedelta(hours=1))
    return sweep(app)


def test_a_skipped_node_that_is_not_settled(app):
    result = launched()
    for name in "abc":
        end(take(result.id, name))
        named("handler").filter(state="SKIPPED").update(settled=False)
        named("a").update(settled=False)
    assert result.state == "STARTED"
    long_after(app)
    assert play(result.id) == ["g"]
    assert result.state == "SUCCESS"
    assert states(result.id)["hg"] == "PENDING"


@pytest.mark.parametrize(("when", "played"), [("success", ["b", "c", "g"]), ("failure", ["g"])])
def test_a_node_that_was_not_released(app, when, played):
    result = launched()
    end(take(result.id, "a"))
    named("b").update(state="PENDING", ready=False, settled=False, run_when=when)
    assert long_after(app).settled
    assert play(result.id) == played
    assert result.state == "SUCCESS"


def test_a_node_below_one_that_was_revoked(app):
    result = launched()
    end(take(result.id, "a"))
    named("b").update(state="REVOKED", hold="stopped", settled=False, failed=True)
    assert long_after(app).settled
    assert states(result.id)["c"] == "REVOKED"
    assert result.state == "FAILURE"


def test_a_root_node_that_was_not_released(app):
    result = launched()
    named("a").update(state="PENDING")
    assert long_after(app).settled
    assert play(result.id) == ["a", "b", "c", "g"]


def test_a_run_that_has_just_moved_is_left_alone(app):
    result = launched()
    end(take(result.id, "a"))
    named("b").update(state="PENDING")
    assert not sweep(app)


@pytest.mark.parametrize("verb", ["pause", None])
def test_a_run_that_waits_is_left_alone(app, verb):
    result = launched()
    if verb:
        end(take(result.id, "a"))
        result.children[0].pause()
        named("b").update(state="PENDING", ready=True)
    NodeRun.objects.filter(queued_at__isnull=False).update(queued_at=F("queued_at"))
    assert not long_after(app)


def test_looking_for_idle_runs_takes_as_many_queries_for_many_runs(app, database):
    counts = []
    for number in (1, 20):
        for _ in range(number):
            launched()
        with CaptureQueriesContext(connections[database]) as context:
            sweep(app)
        counts.append(len(context.captured_queries))
    assert counts[0] == counts[1]
    assert TreeRun.objects.count() == 21
