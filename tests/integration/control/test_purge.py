"""Old runs are deleted with their nodes, attempts and history; all other runs stay."""

import json
import tracemalloc
from contextlib import suppress
from datetime import timedelta
from io import StringIO
from itertools import pairwise

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connections
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django_celery_results.models import TaskResult

from django_tasktree import TaskTree
from django_tasktree.control.purge import old_runs, purge_runs
from django_tasktree.engine.lifecycle.claim import claim, defer_claim
from django_tasktree.exceptions import RunNotFound
from django_tasktree.models import HistoryEntry, NodeAttempt, NodeRun, TreeRun
from django_tasktree.recovery.sweep import sweep
from django_tasktree.tasks import purge as purge_task
from tests import celery_settings
from tests.integration.engine.trees import ref
from tests.interleaving import before_statement
from tests.sample.tasks import echo, fail, flaky

MONTH = timedelta(days=30)


def make_run(days=60, task=echo, children=3):
    """Return a run that ended some days ago."""
    tree = TaskTree()
    top = tree.add_task(task, [1])
    for number in range(children):
        top.add_task(echo, [number]).add_task(echo, ["below"])
    top.gather(echo, ["gather"])
    result = tree.apply_async()
    TreeRun.objects.filter(id=result.id).update(finished_at=timezone.now() - timedelta(days=days))
    return result


def purge_old_runs(age=MONTH, **options):
    """Delete old runs; return the numbers of runs and nodes that were deleted."""
    task_results = options.pop("task_results", False)
    steps = list(purge_runs(old_runs(age, **options), task_results=task_results))
    return sum(step.runs for step in steps), sum(step.nodes for step in steps)


def purge_command(*arguments):
    """Run ``tasktree purge`` and return its output."""
    output = StringIO()
    call_command("tasktree", "purge", *arguments, stdout=output)
    return output.getvalue()


def test_a_run_is_deleted_with_its_nodes_attempts_and_history(database, eager):
    result = make_run(task=flaky)
    HistoryEntry.objects.create(run_id=result.id, node_id=result.children[0].id, action="complete")
    copy = TreeRun.objects.create(copy_of_id=result.id, state="DRAFT")
    assert NodeAttempt.objects.exists()
    assert purge_old_runs() == (1, 8)
    assert not NodeRun.objects.exists()
    assert not NodeAttempt.objects.exists()
    assert not HistoryEntry.objects.exists()
    assert TreeRun.objects.get().id == copy.id
    assert TreeRun.objects.get().copy_of_id is None
    with pytest.raises(RunNotFound, match="purged"):
        result.wait(1)


def test_recent_and_unfinished_runs_stay(database, eager):
    young = make_run(days=20)
    waiting = TreeRun.objects.create(state="STARTED", finished_at=None)
    draft = TreeRun.objects.create(state="DRAFT")
    assert purge_old_runs() == (0, 0)
    assert set(TreeRun.objects.values_list("id", flat=True)) == {young.id, waiting.id, draft.id}


def test_failed_runs_can_be_kept(database, eager):
    good, bad = make_run(), make_run(task=fail)
    assert purge_old_runs(keep_failed=True) == (1, 8)
    assert [run.id for run in TreeRun.objects.all()] == [bad.id]
    assert good.id != bad.id


@pytest.mark.parametrize("batch", [1, 2, 500])
def test_children_that_are_older_than_their_parents(database, eager, settings, batch):
    """Clocks differ: a task function on another machine may have added a node with a smaller ID."""
    settings.TASKTREE = {"BATCH_SIZE": batch}
    make_run()
    ids = list(NodeRun.objects.order_by("id").values_list("id", flat=True))
    top, last = ids[0], ids[-1]
    NodeRun.objects.filter(id=top).update(parent_id=last)
    assert purge_old_runs() == (1, 8)


def test_task_results_are_deleted_on_request(database, eager):
    def with_results():
        make_run(task=flaky)
        ids = [
            *NodeRun.objects.values_list("task_id", flat=True),
            *NodeAttempt.objects.values_list("task_id", flat=True),
        ]
        TaskResult.objects.bulk_create(TaskResult(task_id=str(task_id)) for task_id in ids)
        return len(ids)

    TaskResult.objects.create(task_id="of an unrelated task")
    assert with_results() == 9
    assert purge_old_runs() == (1, 8)
    assert TaskResult.objects.count() == 10
    with_results()
    assert purge_old_runs(task_results=True) == (1, 8)
    assert TaskResult.objects.count() == 10


@pytest.mark.parametrize("batch", [1, 2, 500])
def test_an_interrupted_purge_leaves_complete_runs(database, eager, settings, monkeypatch, batch):
    """Each statement in turn is the last one that the database executes."""
    settings.TASKTREE = {"BATCH_SIZE": batch}
    results = [make_run(days=61, task=fail), make_run(days=60, task=fail)]

    class Interruption(BaseException):
        pass

    def interrupt_after(number):
        count = 0

        def execute(execute, sql, params, many, context):
            nonlocal count
            count += 1
            if count > number:
                raise Interruption
            return execute(sql, params, many, context)

        return execute

    number = 0
    while TreeRun.objects.exists():
        with suppress(Interruption), connections[database].execute_wrapper(interrupt_after(number)):
            purge_old_runs()
        sizes = {result.id: NodeRun.objects.filter(run_id=result.id).count() for result in results}
        complete = dict.fromkeys(TreeRun.objects.values_list("id", flat=True), 8)
        assert {run_id: size for run_id, size in sizes.items() if size} == complete, number
        number += 1
    assert not NodeRun.objects.exists()
    assert number > 10


def test_a_run_that_is_reopened_concurrently_stays(database, app):
    """It is reopened after it was selected, and before it is locked."""
    with celery_settings.changed(app, task_always_eager=True):
        result = make_run(task=fail)
    with before_statement("UPDATE django_tasktree_treerun SET revision", result.retry):
        assert purge_old_runs() == (0, 0)
    assert result.state == "STARTED"


def test_a_late_message_of_a_purged_node_is_ignored(database, eager):
    result = make_run()
    message = ref(result.children[0].id)
    purge_old_runs()
    assert not claim(message, "w")
    assert not defer_claim(message).again


def test_statements_grow_with_batches_and_memory_is_bounded(database, eager, settings):
    settings.TASKTREE = {"BATCH_SIZE": 100}
    run = TreeRun.objects.create(state="SUCCESS", finished_at=timezone.now() - 2 * MONTH)
    NodeRun.objects.bulk_create(NodeRun(run=run, task="t", result="x" * 1000) for _ in range(10_000))
    tracemalloc.start()
    with CaptureQueriesContext(connections[database]) as queries:
        assert purge_old_runs() == (1, 10_000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    statements = [query["sql"] for query in queries if not query["sql"].startswith(("BEGIN", "COMMIT", "SAVE", "REL"))]
    # Four per batch; the rest is for the run and for the test models that refer to runs or nodes.
    assert len(statements) <= 100 * 4 + 40
    # The rows have 10 MB; the text of the captured statements is a large part of the peak.
    assert peak < 30_000_000


def test_a_deep_chain(database, eager):
    run = TreeRun.objects.create(state="SUCCESS", finished_at=timezone.now() - 2 * MONTH)
    rows = [NodeRun(run=run, task="t") for _ in range(3000)]
    for parent, child in pairwise(rows):
        child.parent = parent
    NodeRun.objects.bulk_create(rows)
    assert purge_old_runs() == (1, 3000)


class TestCommand:
    def test_it_deletes(self, database, eager):
        make_run()
        make_run(days=1)
        assert purge_command("--older-than", "30d") == "Deleted 1 run with 8 nodes.\n"
        assert TreeRun.objects.count() == 1

    def test_a_dry_run_only_counts(self, database, eager):
        make_run()
        make_run(task=fail)
        counts = json.loads(purge_command("--older-than", "30d", "--dry-run", "--format", "json"))
        assert counts == {"FAILURE": {"runs": 1, "nodes": 8}, "SUCCESS": {"runs": 1, "nodes": 8}}
        assert "success: 1 run with 8 nodes" in purge_command("--older-than", "30d", "--dry-run")
        assert TreeRun.objects.count() == 2

    def test_a_state_can_be_selected(self, database, eager):
        make_run()
        make_run(task=fail)
        assert "Deleted 1 run" in purge_command("--older-than", "30d", "--state", "failure")
        assert TreeRun.objects.get().state == "SUCCESS"

    @pytest.mark.parametrize("age", ["1000000d", "99999999999999w"])
    def test_no_run_is_older_than_the_calendar(self, database, eager, age):
        make_run()
        assert "Deleted 0 runs" in purge_command("--older-than", age)
        assert "No runs match" in purge_command("--older-than", age, "--dry-run")

    def test_an_age_is_required(self, database):
        with pytest.raises(CommandError, match="--older-than 30d, or set TASKTREE"):
            purge_command()

    def test_the_retention_is_the_default_age(self, database, eager, settings):
        settings.TASKTREE = {"RETENTION": 30, "RETENTION_KEEP_FAILED": True}
        make_run()
        make_run(task=fail)
        assert "Deleted 1 run" in purge_command()

    @pytest.mark.parametrize("arguments", [["--older-than", "soon"], ["--older-than", "30"], ["--state", "started"]])
    def test_invalid_ages_and_states_are_refused(self, database, arguments):
        with pytest.raises(CommandError):
            purge_command(*arguments)


class TestRetention:
    def test_the_sweep_deletes(self, database, eager, settings):
        settings.TASKTREE = {"RETENTION": 30}
        make_run()
        make_run(days=1)
        assert sweep().purged == 1
        assert TreeRun.objects.count() == 1

    def test_without_a_retention_nothing_is_deleted(self, database, eager):
        make_run()
        assert sweep().purged == 0

    @pytest.mark.parametrize("value", [1_000_000, 1e300, float("inf")])
    def test_a_retention_longer_than_the_calendar_keeps_all_runs(self, database, eager, settings, value):
        settings.TASKTREE = {"RETENTION": value}
        make_run()
        found = sweep()
        assert (found.errors, found.purged) == (0, 0)
        assert purge_task(days=value)["runs"] == 0
        assert "Deleted 0 runs" in purge_command()

    @pytest.mark.parametrize("value", ["30d", -1, True, float("nan")])
    def test_an_invalid_retention_is_an_error(self, database, settings, value, caplog):
        """The rest of the sweep does not depend on it."""
        settings.TASKTREE = {"RETENTION": value}
        assert sweep().errors == 1
        assert "RETENTION" in caplog.text
        with pytest.raises(ImproperlyConfigured, match=r"RETENTION.*number of days"):
            purge_command()

    def test_the_task_for_celery_beat(self, database, eager):
        make_run()
        assert purge_task(days=30) == {"runs": 1, "nodes": 8, "kept": 0}
        with pytest.raises(ValueError, match="needs days="):
            purge_task()
