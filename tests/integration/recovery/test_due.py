"""Drafts that are due and runs past their deadline, whose messages were lost."""

from datetime import timedelta

import pytest
from django.utils import timezone

from django_tasktree import TaskTree
from django_tasktree.models import NodeRun, TreeRun
from django_tasktree.recovery.sweep import sweep
from tests import simulation
from tests.sample.tasks import echo


@pytest.fixture
def world(database, app):
    """Yield a simulation with one worker."""
    with simulation.simulated(app, "due") as world:
        world.start_worker("w")
        yield world


def launch(**options):
    """Launch a run of one node."""
    tree = TaskTree()
    tree.add_task(echo, ["a"])
    return tree.apply_async(**options)


def test_a_draft_is_launched_when_it_is_due(world):
    later = launch(eta=timezone.now() + timedelta(hours=1))
    due = launch(eta=timezone.now() + timedelta(hours=1))
    world.receive_all()
    TreeRun.objects.filter(id=due.id).update(eta=timezone.now() - timedelta(seconds=1))
    report = sweep(world.app)
    assert (report.launched, report.errors) == (1, 0)
    assert (due.state, later.state) == ("STARTED", "DRAFT")
    world.deliver_all("w")
    assert due.state == "SUCCESS"
    assert not sweep(world.app)


def test_a_draft_that_is_launched_concurrently_is_launched_once(world, monkeypatch, caplog):
    from django_tasktree.control import operations

    due = launch(eta=timezone.now() + timedelta(hours=1))
    TreeRun.objects.filter(id=due.id).update(eta=timezone.now() - timedelta(seconds=1))
    launch_draft = operations.launch_draft

    def launch_elsewhere_first(run_id, **options):
        launch_draft(run_id, by="another user")
        return launch_draft(run_id, **options)

    monkeypatch.setattr(operations, "launch_draft", launch_elsewhere_first)
    report = sweep(world.app)
    assert (report.launched, report.errors) == (0, 0)
    assert NodeRun.objects.filter(run_id=due.id, state="QUEUED").count() == 1


def test_a_run_is_stopped_at_its_deadline(world):
    late = launch(deadline=timezone.now() + timedelta(hours=1))
    early = launch(deadline=timezone.now() + timedelta(hours=1))
    TreeRun.objects.filter(id=late.id).update(deadline=timezone.now() - timedelta(seconds=1))
    assert sweep(world.app).overdue == 1
    assert (late.state, early.state) == ("FAILURE", "STARTED")
    assert late.children[0].state == "REVOKED"
    assert not sweep(world.app)
