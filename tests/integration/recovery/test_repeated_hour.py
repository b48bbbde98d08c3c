"""The sweep measures seconds in the hour that is repeated when daylight saving time ends, without ``USE_TZ``."""

from datetime import datetime, timedelta

import pytest

from django_tasktree import TaskTree
from django_tasktree.encoding import times
from django_tasktree.encoding.ids import new_id
from django_tasktree.engine.heartbeats import forget, not_lost, workers
from django_tasktree.engine.recovery.runs import RunProblem, interrupted_changes, runs_without_progress
from django_tasktree.engine.recovery.scan import Scan
from django_tasktree.models import HistoryEntry, NodeRun
from django_tasktree.models.history_entry import Action
from django_tasktree.states import NodeState
from tests.sample.tasks import echo

pytestmark = pytest.mark.usefixtures("database", "app")

#: In New York, 1:30 comes twice on this day; these are its two readings, as the models have them without ``USE_TZ``.
FIRST = datetime(2026, 11, 1, 1, 30)
SECOND = FIRST.replace(fold=1)
#: Ten seconds after the clocks were set back from 2:00 to 1:00.
SET_BACK = datetime(2026, 11, 1, 1, 0, 10, fold=1)
MOMENTS = pytest.mark.parametrize("now", [FIRST, SECOND, SET_BACK], ids=["first", "second", "set back"])


@pytest.fixture(autouse=True)
def without_use_tz(settings, database):
    settings.USE_TZ = False
    settings.TIME_ZONE = "America/New_York"


def before(now, seconds):
    """Return the stored time that is a number of seconds before another, calculated in UTC."""
    return times.as_stored(times.instant(now) - timedelta(seconds=seconds))


@MOMENTS
def test_a_change_counts_as_interrupted_after_30_seconds(now):
    run = TaskTree().apply_async()
    entry = HistoryEntry.objects.create(run_id=run.id, action=Action.PAUSE)
    for age, is_interrupted in [(5, False), (40, True), (-5, False), (-40, True)]:
        HistoryEntry.objects.filter(pk=entry.pk).update(last_batch_at=before(now, age))
        assert bool(interrupted_changes(now)) is is_interrupted, f"{age} seconds ago"


@MOMENTS
def test_a_run_is_idle_some_seconds_after_its_last_node(now):
    tree = TaskTree()
    tree.add_task(echo, ["a"]).add_task(echo, ["b"])
    run = tree.apply_async()
    ended = NodeRun.objects.filter(run_id=run.id, parent=None)
    ended.update(state=NodeState.SUCCESS, finished_at=before(now, 60))
    assert (run.id, RunProblem.IDLE) in list(runs_without_progress(Scan(), now))
    ended.update(finished_at=before(now, 5))
    assert (run.id, RunProblem.IDLE) not in list(runs_without_progress(Scan(), now))


def worker(now, seconds):
    """Insert a worker that has had heartbeats for a day, the last one some seconds ago, and return its ID."""
    seen, since = before(now, seconds), before(now, 86_400)
    times_of_heartbeats = {"started_at": since, "beating_since": since, "last_seen": seen}
    return workers().create(id=new_id(), hostname=f"w{seconds}", pid=1, **times_of_heartbeats).id


@MOMENTS
def test_a_worker_is_lost_after_30_seconds(now):
    alive, late, lost = worker(now, 2), worker(now, 20), worker(now, 60)
    found = not_lost(now)
    assert {alive, late} <= found
    assert lost not in found


@MOMENTS
def test_a_lost_worker_is_listed_for_an_hour(now):
    worker(now, 2)
    kept, gone = worker(now, 1800), worker(now, 2 * 3600)
    assert forget(now) == 1
    assert workers().filter(id=kept).exists()
    assert not workers().filter(id=gone).exists()
