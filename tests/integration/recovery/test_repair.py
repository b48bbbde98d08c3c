"""An error in one repair is reported, and does not prevent other repairs."""

import json
from io import StringIO

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import OperationalError

from django_tasktree.recovery import messages, nodes
from django_tasktree.recovery.report import SweepReport, repairing
from django_tasktree.recovery.sweep import sweep
from tests import services, simulation, workers
from tests.integration.recovery.scenes import age, launched

UNREACHABLE = services.Service("unreachable", "amqp://guest:guest@127.0.0.1:1//", "")


@pytest.fixture
def world(transactional_db, app):
    """Yield a simulation with one worker."""
    with simulation.simulated(app, "repairing") as world:
        world.start_worker("w")
        yield world


def run_command(*args):
    """Run ``tasktree sweep``; return its output and its error, or None."""
    out = StringIO()
    try:
        call_command("tasktree", "sweep", *args, stdout=out)
    except CommandError as exc:
        return out.getvalue(), str(exc)
    return out.getvalue(), None


def break_one(monkeypatch, broken):
    """Make the publication of one run's messages fail."""
    publish = messages.publish_now  # type: ignore[attr-defined]

    def publish_or_fail(run_id, dispatches):
        if run_id == broken:
            raise ValueError("broken")
        return publish(run_id, dispatches)

    monkeypatch.setattr(messages, "publish_now", publish_or_fail)


def test_other_runs_are_repaired(world, monkeypatch, caplog):
    (bad,), (good,) = launched("bad"), launched("good")
    world.receive_all()
    for node in (bad, good):
        age(node, 60)
    break_one(monkeypatch, bad.node.run_id)
    report = sweep(world.app)
    assert report.errors == 1
    assert [str(good.node.task_id)] == [message.id for message in world.receive_all()]
    assert f"run {bad.node.run_id} could not be repaired" in caplog.text
    assert "ValueError: broken" in caplog.text


def test_a_database_error_ends_the_pass(world):
    report = SweepReport()
    with pytest.raises(OperationalError), repairing("it", report):
        raise OperationalError("gone")
    assert report.errors == 0


def test_an_unreachable_broker_does_not_end_the_pass(world, monkeypatch, caplog):
    """The steps that need no broker are made."""
    for node in launched("a"):
        age(node, 60)
    done = []
    monkeypatch.setattr(nodes, "finished_unsettled_nodes", lambda *_: done.append(True) or iter(()))  # type: ignore[func-returns-value]
    with workers.use_broker(world.app, UNREACHABLE, "repairing"):
        report = sweep(world.app)
    assert (report.errors, report.resent, done) == (1, 0, [True])
    assert "the broker can't be reached" in caplog.text


def test_the_command_reports_its_repairs(world):
    world.receive_all()
    assert run_command() == ("There is nothing to repair.\n", None)
    for node in launched("a", "b"):
        age(node, 60)
    world.receive_all()
    assert run_command() == ("Lost messages sent again: 2\n", None)


def test_the_command_reports_as_json(world):
    (node,) = launched("a")
    age(node, 60)
    world.receive_all()
    found = json.loads(run_command("--format", "json")[0])
    assert found["resent"] == 1
    assert set(found) == set(SweepReport.__dataclass_fields__)


def test_the_command_fails_if_a_repair_fails(world, monkeypatch):
    (node,) = launched("a")
    age(node, 60)
    world.receive_all()
    break_one(monkeypatch, node.node.run_id)
    out, error = run_command()
    assert "Lost messages sent again: 1" in out
    assert error == "1 error during the sweep: the log has the details"
