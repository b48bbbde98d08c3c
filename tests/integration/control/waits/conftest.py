"""Fixtures of the tests of wait nodes."""

import pytest

from django_tasktree.signals import node_waiting
from tests import simulation


@pytest.fixture
def world(database, app):
    """Yield a simulation with one worker."""
    with simulation.simulated(app, "waits") as world:
        world.start_worker("w")
        yield world


@pytest.fixture
def announced():
    """Yield a list of the label and the number of the reminder of each ``node_waiting``."""
    received = []

    def receiver(sender, label, reminder, **_):
        received.append((label, reminder))

    node_waiting.connect(receiver)
    yield received
    node_waiting.disconnect(receiver)
