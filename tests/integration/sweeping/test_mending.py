"""One thing that can't be mended keeps nothing else from it, and is told."""

import json
from io import StringIO

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import OperationalError

from django_tasktree.sweeping import messages, stuck, sweep
from django_tasktree.sweeping.mending import mending
from django_tasktree.sweeping.swept import Swept
from tests import services, simulation, workers
from tests.integration.sweeping.scenes import age, launched

NOBODY_ANSWERS = services.Service("nobody", "amqp://guest:guest@127.0.0.1:1//", "")


@pytest.fixture
def world(transactional_db, app):
    with simulation.simulated(app, "mending") as world:
        world.start_worker("w")
        yield world


def run_command(*args):
    out = StringIO()
    try:
        call_command("tasktree", "sweep", *args, stdout=out)
    except CommandError as exc:
        return out.getvalue(), str(exc)
    return out.getvalue(), None


def break_one(monkeypatch, broken):
    publish = messages.publish_now

    def sometimes(run_id, dispatches):
        if run_id == broken:
            raise ValueError("broken")
        return publish(run_id, dispatches)

    monkeypatch.setattr(messages, "publish_now", sometimes)


def test_the_rest_is_mended(world, monkeypatch, caplog):
    (bad,), (good,) = launched("bad"), launched("good")
    world.receive_all()
    for node in (bad, good):
        age(node, 60)
    break_one(monkeypatch, bad.node.run_id)
    swept = sweep(world.app)
    assert swept.errors == 1
    assert [str(good.node.task_id)] == [message.id for message in world.receive_all()]
    assert f"run {bad.node.run_id} could not be mended" in caplog.text
    assert "ValueError: broken" in caplog.text


def test_a_database_in_trouble_ends_the_pass(world):
    swept = Swept()
    with pytest.raises(OperationalError), mending("it", swept):
        raise OperationalError("gone")
    assert swept.errors == 0


def test_a_broker_in_trouble_leaves_the_rest_to_the_pass(world, monkeypatch, caplog):
    """What needs no broker to be found is found all the same."""
    for node in launched("a"):
        age(node, 60)
    done = []
    monkeypatch.setattr(stuck, "half_settled_nodes", lambda *_: done.append(True) or iter(()))
    with workers.use_broker(world.app, NOBODY_ANSWERS, "mending"):
        swept = sweep(world.app)
    assert (swept.errors, swept.resent, done) == (1, 0, [True])
    assert "the broker can't be reached" in caplog.text


def test_the_command_tells_what_it_has_mended(world):
    world.receive_all()
    assert run_command() == ("There is nothing to mend.\n", None)
    for node in launched("a", "b"):
        age(node, 60)
    world.receive_all()
    assert run_command() == ("Lost messages that were sent again: 2\n", None)


def test_the_command_as_json(world):
    (node,) = launched("a")
    age(node, 60)
    world.receive_all()
    found = json.loads(run_command("--format", "json")[0])
    assert found["resent"] == 1
    assert set(found) == set(Swept.__dataclass_fields__)


def test_the_command_fails_where_something_could_not_be_mended(world, monkeypatch):
    (node,) = launched("a")
    age(node, 60)
    world.receive_all()
    break_one(monkeypatch, node.node.run_id)
    out, error = run_command()
    assert "Lost messages that were sent again: 1" in out
    assert error == "1 error: see the log"
