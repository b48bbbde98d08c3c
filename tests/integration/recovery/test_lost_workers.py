"""The recovery of nodes whose worker sends no heartbeats, and the row of that worker."""

from datetime import datetime, timedelta, timezone
from uuid import uuid4

import pytest
from django.db.models import F

from django_tasktree.engine.heartbeats import Series, beat, workers
from django_tasktree.engine.transitions import nodes
from django_tasktree.models import NodeAttempt, Worker
from django_tasktree.recovery.sweep import sweep
from tests import simulation
from tests.integration.recovery.scenes import age, launched, started


@pytest.fixture
def world(database, app):
    """Yield a simulation with one worker."""
    with simulation.simulated(app, "lost-workers") as world:
        world.start_worker("w")
        yield world


def silence(world, name, seconds):
    """Set the last heartbeat of a worker back."""
    workers().filter(id=world.hosts[name].id).update(last_seen=F("last_seen") - timedelta(seconds=seconds))


def start_one(world, **options):
    """Return a node that the worker "w" started 100 seconds ago."""
    (node,) = launched("a", **options)
    world.receive_all()
    started(world, node)
    age(node, 100)
    return node


def test_the_nodes_of_a_lost_worker_run_again(world):
    node = start_one(world)
    silence(world, "w", 31)
    report = sweep(world.app)
    assert (report.requeued, report.failed, node.state) == (1, 0, "QUEUED")
    attempt = NodeAttempt.objects.get(node=node.id)
    assert attempt.outcome == "LOST"
    assert "w@here was lost: its last heartbeat was at 20" in attempt.error_message
    other = world.start_worker("other")
    world.deliver_all(other)
    assert node.get() == "a"


def test_a_worker_with_a_recent_heartbeat_keeps_its_nodes(world):
    node = start_one(world)
    silence(world, "w", 29)
    assert not sweep(world.app)
    assert node.state == "STARTED"


def test_the_time_until_a_worker_is_lost_is_a_setting(world, settings):
    settings.TASKTREE = {"WORKER_LOST_AFTER": 10}
    start_one(world)
    silence(world, "w", 11)
    assert sweep(world.app).requeued == 1


def test_a_node_that_has_just_started_is_left_alone(world):
    """Its worker may be too new to have sent a heartbeat."""
    (node,) = launched("a")
    world.receive_all()
    started(world, node)
    silence(world, "w", 3600)
    assert not sweep(world.app)
    assert node.state == "STARTED"


def test_the_nodes_of_a_worker_that_was_shut_down_run_again(world):
    node = start_one(world)
    world.stop_worker("w")
    assert sweep(world.app).requeued == 1
    assert "w@here shut down while it ran the task function" in NodeAttempt.objects.get(node=node.id).error_message


def test_a_node_that_no_worker_runs_is_left_alone(world):
    """In eager mode the launching process runs the task functions, without a heartbeat."""
    node = start_one(world)
    nodes().filter(id=node.id).update(worker_id=None)
    world.stop_worker("w")
    assert not sweep(world.app)


@pytest.mark.parametrize("most", [1, 2, 4])
def test_a_node_that_keeps_losing_its_workers_fails_and_records_each_loss(world, most):
    (node,) = launched("a", max_deliveries=most)
    for number in range(most):
        name = world.start_worker(f"w{number}")
        world.receive_all()
        started(world, node, name)
        age(node, 100)
        silence(world, name, 60)
        report = sweep(world.app)
        assert (report.requeued, report.failed) == ((0, 1) if number == most - 1 else (1, 0))
    assert node.state == "FAILURE"
    attempts = NodeAttempt.objects.filter(node=node.id).order_by("number")
    assert [row.outcome for row in attempts] == ["LOST"] * (most - 1)
    assert [*(row.worker for row in attempts), node.node.worker] == [f"w{number}@here" for number in range(most)]
    assert f"(delivery {most} of {most})" in node.node.error_message


def test_a_node_that_must_not_run_twice_fails_at_once(world):
    node = start_one(world, on_worker_lost="fail")
    silence(world, "w", 60)
    report = sweep(world.app)
    assert (report.requeued, report.failed, node.state) == (0, 1, "FAILURE")


def test_the_row_of_a_lost_worker_is_kept_for_an_hour(world):
    rows = Worker.objects.filter(hostname="w")
    silence(world, "w", 3500)
    sweep(world.app)
    assert rows.count() == 1
    silence(world, "w", 200)
    sweep(world.app)
    assert rows.count() == 0


def test_a_live_worker_whose_row_was_deleted_has_a_row_again(world):
    spec = world.hosts["w"]
    first = Worker.objects.get(id=spec.id)
    beat(lambda: spec)
    again = Worker.objects.get(id=spec.id)
    assert again.started_at == first.started_at
    assert again.last_seen > first.last_seen
    Worker.objects.all().delete()
    beat(lambda: spec)
    assert Worker.objects.get(id=spec.id).hostname == "w"


def test_workers_with_the_same_name_are_distinct(world):
    """A container that was restarted has the same name; the nodes of the first worker are recovered."""
    node = start_one(world)
    silence(world, "w", 60)
    lost = world.hosts.pop("w")
    world.start_worker("w")
    assert world.hosts["w"].id != lost.id != uuid4()
    assert sweep(world.app).requeued == 1
    assert node.state == "QUEUED"


def set_witness_series(seconds):
    """Set how long the witness has sent heartbeats without a gap; no other worker has done so for longer."""
    witness = workers().filter(id=simulation.WITNESS)
    witness.update(beating_since=F("last_seen") - timedelta(seconds=seconds))


def test_a_worker_is_lost_only_if_another_sent_heartbeats_during_its_silence(world):
    """The database was unavailable for an hour, and the witness is the first worker to return."""
    node = start_one(world)
    silence(world, "w", 3600)
    set_witness_series(29)
    assert not sweep(world.app)
    assert node.state == "STARTED"
    set_witness_series(31)
    assert sweep(world.app).requeued == 1


def test_rows_are_not_deleted_after_an_outage_of_the_database(world):
    silence(world, "w", 10 * 3600)
    set_witness_series(1)
    sweep(world.app)
    assert Worker.objects.filter(hostname="w").exists()


def test_no_worker_is_lost_without_a_live_worker(world):
    node = start_one(world)
    workers().filter(id=simulation.WITNESS).delete()
    silence(world, "w", 3600)
    assert not sweep(world.app)
    assert node.state == "STARTED"


def test_the_silence_is_measured_at_the_last_heartbeat_of_the_witness(world):
    """Both were silent after that: the witness can't have observed the silence of the other worker."""
    node = start_one(world)
    silence(world, "w", 3600)
    workers().filter(id=simulation.WITNESS).update(last_seen=F("last_seen") - timedelta(seconds=3590))
    assert not sweep(world.app)
    assert node.state == "STARTED"


def test_a_worker_is_lost_although_the_clock_was_set_back(world):
    """A live worker sends heartbeats at the new time; the last heartbeat of a lost one is in the future."""
    node = start_one(world)
    silence(world, "w", -3600)
    set_witness_series(20)
    assert not sweep(world.app)
    set_witness_series(31)
    assert sweep(world.app).requeued == 1
    assert node.state == "QUEUED"


class TestSeries:
    """The series of heartbeats of one worker."""

    START = datetime(2026, 1, 1, tzinfo=timezone.utc)

    @pytest.fixture
    def beats(self, monkeypatch):
        """Return a function that adds a heartbeat and returns the start of its series."""
        series = Series()
        monotonic = [1000.0]
        monkeypatch.setattr("django_tasktree.engine.heartbeats.time.monotonic", lambda: monotonic[0])

        def at(theirs, own):
            monotonic[0] = 1000.0 + own
            return (series.add(self.START + timedelta(seconds=theirs)) - self.START).total_seconds()

        return at

    def test_regular_heartbeats_are_one_series(self, beats):
        assert [beats(second, second) for second in (0, 5, 10, 30)] == [0, 0, 0, 0]

    @pytest.mark.parametrize(
        ("theirs", "own"),
        [(40, 40), (3600, 5), (-3600, 5), (5, 3600)],
        ids=["database unavailable", "clock set forward", "clock set back", "worker stopped, clock set back"],
    )
    def test_a_gap_begins_a_new_series(self, beats, theirs, own):
        beats(0, 0)
        assert beats(theirs, own) == theirs
        assert beats(theirs + 5, own + 5) == theirs
