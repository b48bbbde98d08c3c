"""Fixtures of the tests of sub-runs."""

import pytest

from django_tasktree.testing import registered
from tests import simulation
from tests.sample.sub_run_tasks import asking, endless, nested, report, silent


@pytest.fixture(autouse=True)
def definitions():
    """Register the definitions of the sub-runs."""
    with registered(report, asking, nested, endless, silent):
        yield


@pytest.fixture
def world(database, app):
    """Yield a simulation with one worker."""
    with simulation.simulated(app, "sub-runs") as world:
        world.start_worker("w")
        yield world
