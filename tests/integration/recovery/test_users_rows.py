"""Old runs to which rows of users' models refer: the sweep keeps those that are protected, and continues."""

from django_tasktree.models import TreeRun
from django_tasktree.recovery.sweep import sweep, sweep_if_due
from tests.integration.control.users_rows import last_node, make_run
from tests.integration.recovery.test_one_sweeper import worker_threads
from tests.orders.models import Protecting, Unmanaged


def test_it_continues_after_runs_that_are_kept(database, app, eager, settings, monkeypatch):
    settings.TASKTREE = {"RETENTION": 30, "BATCH_SIZE": 1, "SWEEP_INTERVAL": 0}
    runs = [make_run(days=60 - number) for number in range(6)]
    for run in runs[:4]:
        Protecting.objects.create(run=run)
    worker = worker_threads(app)
    left = []
    for _ in range(8):
        # Each pass has time for one step.
        monkeypatch.setattr("django_tasktree.recovery.sweep.MAX_SECONDS", 0)
        sweep_if_due(worker)
        left.append(TreeRun.objects.count())
    assert left[-1] == 4
    # Runs that were kept are tried again: one is no longer protected.
    Protecting.objects.filter(run=runs[1]).delete()
    for _ in range(8):
        sweep_if_due(worker)
    assert set(TreeRun.objects.values_list("id", flat=True)) == {runs[0].id, runs[2].id, runs[3].id}


def test_a_run_that_cannot_be_deleted_is_an_error_in_the_report(database, eager, settings, caplog):
    settings.TASKTREE = {"RETENTION": 30}
    bad, _ = make_run(), make_run()
    Unmanaged.objects.create(node=last_node(bad))
    report = sweep()
    assert (report.purged, report.errors) == (1, 1)
    assert f"run {bad.id} could not be deleted: IntegrityError" in caplog.text


def test_a_protected_run_is_no_error(database, eager, settings):
    settings.TASKTREE = {"RETENTION": 30}
    Protecting.objects.create(run=make_run())
    report = sweep()
    assert (report.purged, report.errors) == (0, 0)
