"""Wait nodes on real workers: timers, timeouts that the sweep enforces, and events."""

from datetime import timedelta

import pytest

from django_tasktree import TaskTree, TreeResult
from django_tasktree.models import NodeRun
from tests.patience import PATIENCE, until
from tests.sample.tasks import echo

pytestmark = pytest.mark.worker


def test_a_short_sleep_does_not_wait_for_the_sweep(stack):
    tree = TaskTree()
    nap = tree.add_task(echo, ["a"]).sleep(timedelta(seconds=1))
    nap.add_task(echo, ["b"])
    result = tree.apply_async()
    assert result.wait(PATIENCE) == "SUCCESS"
    took = result[nap].node.duration
    assert took is not None
    assert timedelta(seconds=1) <= took < timedelta(seconds=6)


def test_a_time_out(stack):
    tree = TaskTree()
    ok = tree.add_task(echo, ["a"]).wait_for("approved", timeout=timedelta(seconds=1), on_timeout="success", default=7)
    after = ok.add_task(echo, [ok.output])
    result = tree.apply_async()
    assert result[after].get(PATIENCE) == 7


def test_an_event(stack):
    tree = TaskTree()
    ok = tree.add_task(echo, ["a"]).wait_for("approved")
    after = ok.add_task(echo, [ok.output])
    result = tree.apply_async()
    until(lambda: NodeRun.objects.get(id=result[ok].id).state == "WAITING")
    TreeResult(result.id).send_event("approved", {"by": 7})
    assert result[after].get(PATIENCE) == {"by": 7}
    assert result.wait(PATIENCE) == "SUCCESS"
