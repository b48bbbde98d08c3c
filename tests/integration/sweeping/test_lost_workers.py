"""What becomes of the nodes of a worker that gives no sign of life, and of its row."""

from datetime import datetime, timedelta, timezone
from uuid import uuid4

import pytest
from django.db.models import F

from django_tasktree.engine.moves import nodes
from django_tasktree.engine.workers import Series, beat, workers
from django_tasktree.models import NodeAttempt, Worker
from django_tasktree.sweeping import sweep
from tests import simulation
from tests.integration.sweeping.scenes import age, launched, started


@pytest.fixture
def world(database, app):
    with simulation.simulated(app, "lost-workers") as world:
        world.start_worker("w")
        yield world


def silent_for(world, name, seconds):
    workers().filter(id=world.hosts[name].id).update(last_seen=F("last_seen") - timedelta(seconds=seconds))


def one_started(world, **options):
    (node,) = launched("a", **options)
    world.receive_all()
    started(world, node)
    age(node, 100)
    return node


def test_its_nodes_run_again(world):
    node = one_started(world)
    silent_for(world, "w", 31)
    swept = sweep(world.app)
    assert (swept.requeued, swept.failed, node.state) == (1, 0, "QUEUED")
    attempt = NodeAttempt.objects.get(node=node.id)
    assert attempt.outcome == "LOST"
    assert "w@here was lost: it gave its last sign of life at 20" in attempt.error_message
    other = world.start_worker("other")
    world.deliver_all(other)
    assert node.get() == "a"


def test_a_worker_that_was_seen_lately_keeps_its_nodes(world):
    node = one_started(world)
    silent_for(world, "w", 29)
    assert not sweep(world.app)
    assert node.state == "STARTED"


def test_how_long_it_is_waited_for_is_a_setting(world, settings):
    settings.TASKTREE = {"WORKER_LOST_AFTER": 10}
    one_started(world)
    silent_for(world, "w", 11)
    assert sweep(world.app).requeued == 1


def test_a_node_that_has_just_started_is_left_alone(world):
    """Its worker may be too young to have been seen."""
    (node,) = launched("a")
    world.receive_all()
    started(world, node)
    silent_for(world, "w", 3600)
    assert not sweep(world.app)
    assert node.state == "STARTED"


def test_a_worker_that_shut_down_in_the_middle(world):
    node = one_started(world)
    world.stop_worker("w")
    assert sweep(world.app).requeued == 1
    assert "w@here shut down while its body ran" in NodeAttempt.objects.get(node=node.id).error_message


def test_a_node_that_no_worker_runs_is_left_alone(world):
    """In eager mode the process that launches runs the bodies; it has no heartbeat."""
    node = one_started(world)
    nodes().filter(id=node.id).update(worker_id=None)
    world.stop_worker("w")
    assert not sweep(world.app)


@pytest.mark.parametrize("most", [1, 2, 4])
def test_a_node_that_keeps_losing_its_workers_fails_and_tells_each_time(world, most):
    (node,) = launched("a", max_deliveries=most)
    for number in range(most):
        name = world.start_worker(f"w{number}")
        world.receive_all()
        started(world, node, name)
        age(node, 100)
        silent_for(world, name, 60)
        swept = sweep(world.app)
        assert (swept.requeued, swept.failed) == ((0, 1) if number == most - 1 else (1, 0))
    assert node.state == "FAILURE"
    attempts = NodeAttempt.objects.filter(node=node.id).order_by("number")
    assert [row.outcome for row in attempts] == ["LOST"] * (most - 1)
    assert [*(row.worker for row in attempts), node.node.worker] == [f"w{number}@here" for number in range(most)]
    assert f"(delivery {most} of {most})" in node.node.error_message


def test_a_node_that_must_not_run_twice_fails_at_once(world):
    node = one_started(world, on_worker_lost="fail")
    silent_for(world, "w", 60)
    swept = sweep(world.app)
    assert (swept.requeued, swept.failed, node.state) == (0, 1, "FAILURE")


def test_its_row_stays_for_an_hour_to_be_looked_at(world):
    rows = Worker.objects.filter(hostname="w")
    silent_for(world, "w", 3500)
    sweep(world.app)
    assert rows.count() == 1
    silent_for(world, "w", 200)
    sweep(world.app)
    assert rows.count() == 0


def test_a_worker_that_was_forgotten_and_lives_has_a_row_again(world):
    spec = world.hosts["w"]
    first = Worker.objects.get(id=spec.id)
    beat(spec)
    again = Worker.objects.get(id=spec.id)
    assert again.started_at == first.started_at
    assert again.last_seen > first.last_seen
    Worker.objects.all().delete()
    beat(spec)
    assert Worker.objects.get(id=spec.id).hostname == "w"


def test_two_workers_of_one_name_are_two_workers(world):
    """A container that starts again has the same name: the nodes of the first are taken over all the same."""
    node = one_started(world)
    silent_for(world, "w", 60)
    lost = world.hosts.pop("w")
    world.start_worker("w")
    assert world.hosts["w"].id != lost.id != uuid4()
    assert sweep(world.app).requeued == 1
    assert node.state == "QUEUED"


def only_worker_beat_since(seconds):
    """Let the witness be as young as that: no worker has beaten without a gap for longer."""
    witness = workers().filter(id=simulation.WITNESS)
    witness.update(beating_since=F("last_seen") - timedelta(seconds=seconds))


def test_nobody_is_lost_until_another_worker_has_beaten_all_the_time(world):
    """The database was away for an hour, and the witness is the first worker that is back."""
    node = one_started(world)
    silent_for(world, "w", 3600)
    only_worker_beat_since(29)
    assert not sweep(world.app)
    assert node.state == "STARTED"
    only_worker_beat_since(31)
    assert sweep(world.app).requeued == 1


def test_rows_are_not_forgotten_while_nobody_could_beat(world):
    silent_for(world, "w", 10 * 3600)
    only_worker_beat_since(1)
    sweep(world.app)
    assert Worker.objects.filter(hostname="w").exists()


def test_nobody_is_lost_where_no_worker_lives(world):
    node = one_started(world)
    workers().filter(id=simulation.WITNESS).delete()
    silent_for(world, "w", 3600)
    assert not sweep(world.app)
    assert node.state == "STARTED"


def test_the_last_heartbeat_of_the_witness_counts_not_the_time_of_the_sweep(world):
    """Both were silent from then on: the witness can't have seen the other one's silence."""
    node = one_started(world)
    silent_for(world, "w", 3600)
    workers().filter(id=simulation.WITNESS).update(last_seen=F("last_seen") - timedelta(seconds=3590))
    assert not sweep(world.app)
    assert node.state == "STARTED"


def test_a_clock_that_was_set_back(world):
    """A worker that lives beats at the new time; the heartbeat of a lost one stays in the future."""
    node = one_started(world)
    silent_for(world, "w", -3600)
    only_worker_beat_since(20)
    assert not sweep(world.app)
    only_worker_beat_since(31)
    assert sweep(world.app).requeued == 1
    assert node.state == "QUEUED"


class TestSeries:
    """The series of a worker's own heartbeats."""

    START = datetime(2026, 1, 1, tzinfo=timezone.utc)

    @pytest.fixture
    def beats(self, monkeypatch):
        series = Series()
        mine = [1000.0]
        monkeypatch.setattr("django_tasktree.engine.workers.time.monotonic", lambda: mine[0])

        def at(theirs, own):
            mine[0] = 1000.0 + own
            return (series.add(self.START + timedelta(seconds=theirs)) - self.START).total_seconds()

        return at

    def test_regular_heartbeats(self, beats):
        assert [beats(second, second) for second in (0, 5, 10, 30)] == [0, 0, 0, 0]

    @pytest.mark.parametrize(
        ("theirs", "own"),
        [(40, 40), (3600, 5), (-3600, 5), (5, 3600)],
        ids=["database away", "clock set forward", "clock set back", "worker stopped, clock set back"],
    )
    def test_a_gap_begins_a_new_series(self, beats, theirs, own):
        beats(0, 0)
        assert beats(theirs, own) == theirs
        assert beats(theirs + 5, own + 5) == theirs
