"""Old runs go, with all that belongs to them; nothing else does."""

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
from django_tasktree.engine import purge as purge_module
from django_tasktree.engine.claim import claim
from django_tasktree.engine.park import park
from django_tasktree.exceptions import RunNotFound
from django_tasktree.models import HistoryEntry, NodeAttempt, NodeRun, TreeRun
from django_tasktree.purging import old_runs, purge_runs
from django_tasktree.sweeping import sweep
from django_tasktree.tasks import purge as purge_task
from tests import celery_settings
from tests.integration.engine.trees import ref
from tests.sample.tasks import echo, fail, flaky

MONTH = timedelta(days=30)


def a_run(days=60, task=echo, children=3):
    tree = TaskTree()
    top = tree.add_task(task, [1])
    for number in range(children):
        top.add_task(echo, [number]).add_task(echo, ["below"])
    top.gather(echo, ["gather"])
    result = tree.apply_async()
    TreeRun.objects.filter(id=result.id).update(finished_at=timezone.now() - timedelta(days=days))
    return result


def purged(age=MONTH, **options):
    task_results = options.pop("task_results", False)
    steps = list(purge_runs(old_runs(age, **options), task_results=task_results))
    return sum(step.runs for step in steps), sum(step.nodes for step in steps)


def command(*arguments):
    output = StringIO()
    call_command("tasktree", "purge", *arguments, stdout=output)
    return output.getvalue()


def test_a_run_goes_with_all_that_belongs_to_it(database, eager):
    result = a_run(task=flaky)
    HistoryEntry.objects.create(run_id=result.id, node_id=result.children[0].id, action="skip")
    copy = TreeRun.objects.create(copy_of_id=result.id, state="DRAFT")
    assert NodeAttempt.objects.exists()
    assert purged() == (1, 8)
    assert not NodeRun.objects.exists()
    assert not NodeAttempt.objects.exists()
    assert not HistoryEntry.objects.exists()
    assert TreeRun.objects.get().id == copy.id
    assert TreeRun.objects.get().copy_of_id is None
    with pytest.raises(RunNotFound, match="purged"):
        result.wait(1)


def test_what_is_young_or_has_not_ended_stays(database, eager):
    young = a_run(days=20)
    waiting = TreeRun.objects.create(state="STARTED", finished_at=None)
    draft = TreeRun.objects.create(state="DRAFT")
    assert purged() == (0, 0)
    assert set(TreeRun.objects.values_list("id", flat=True)) == {young.id, waiting.id, draft.id}


def test_only_some_states(database, eager):
    good, bad = a_run(), a_run(task=fail)
    assert purged(keep_failed=True) == (1, 8)
    assert [run.id for run in TreeRun.objects.all()] == [bad.id]
    assert good.id != bad.id


@pytest.mark.parametrize("batch", [1, 2, 500])
def test_children_that_are_older_than_their_parents(database, eager, settings, batch):
    """Clocks differ: a body on another machine may have added a node with a smaller key."""
    settings.TASKTREE = {"BATCH_SIZE": batch}
    a_run()
    ids = list(NodeRun.objects.order_by("id").values_list("id", flat=True))
    top, last = ids[0], ids[-1]
    NodeRun.objects.filter(id=top).update(parent_id=last)
    assert purged() == (1, 8)


def test_task_results_go_along_if_asked(database, eager):
    def with_results():
        a_run(task=flaky)
        ids = [
            *NodeRun.objects.values_list("task_id", flat=True),
            *NodeAttempt.objects.values_list("task_id", flat=True),
        ]
        TaskResult.objects.bulk_create(TaskResult(task_id=str(task_id)) for task_id in ids)
        return len(ids)

    TaskResult.objects.create(task_id="somebody else's")
    assert with_results() == 9
    assert purged() == (1, 8)
    assert TaskResult.objects.count() == 10
    with_results()
    assert purged(task_results=True) == (1, 8)
    assert TaskResult.objects.count() == 10


@pytest.mark.parametrize("batch", [1, 2, 500])
def test_a_purge_that_breaks_off_leaves_whole_runs(database, eager, settings, monkeypatch, batch):
    """Each statement in turn is the last one that the database carries out."""
    settings.TASKTREE = {"BATCH_SIZE": batch}
    results = [a_run(days=61, task=fail), a_run(days=60, task=fail)]

    class BreaksOff(BaseException):
        pass

    def at_statement(number):
        count = 0

        def execute(execute, sql, params, many, context):
            nonlocal count
            count += 1
            if count > number:
                raise BreaksOff
            return execute(sql, params, many, context)

        return execute

    number = 0
    while TreeRun.objects.exists():
        with suppress(BreaksOff), connections[database].execute_wrapper(at_statement(number)):
            purged()
        sizes = {result.id: NodeRun.objects.filter(run_id=result.id).count() for result in results}
        whole = dict.fromkeys(TreeRun.objects.values_list("id", flat=True), 8)
        assert {run_id: size for run_id, size in sizes.items() if size} == whole, number
        number += 1
    assert not NodeRun.objects.exists()
    assert number > 10


def test_a_run_that_is_reopened_at_this_moment_stays(database, app, monkeypatch):
    with celery_settings.changed(app, task_always_eager=True):
        result = a_run(task=fail)
    lock = purge_module._lock

    def retried_first(old, run_ids):
        result.retry()
        return lock(old, run_ids)

    monkeypatch.setattr(purge_module, "_lock", retried_first)
    assert purged() == (0, 0)
    assert result.state == "STARTED"


def test_a_late_message_of_a_purged_node_is_void(database, eager):
    result = a_run()
    message = ref(result.children[0].id)
    purged()
    assert not claim(message, "w")
    assert not park(message).again


def test_the_number_of_statements_depends_on_batches_and_memory_on_nothing(database, eager, settings):
    settings.TASKTREE = {"BATCH_SIZE": 100}
    run = TreeRun.objects.create(state="SUCCESS", finished_at=timezone.now() - 2 * MONTH)
    NodeRun.objects.bulk_create(NodeRun(run=run, task="t", result="x" * 1000) for _ in range(10_000))
    tracemalloc.start()
    with CaptureQueriesContext(connections[database]) as queries:
        assert purged() == (1, 10_000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    statements = [query["sql"] for query in queries if not query["sql"].startswith(("BEGIN", "COMMIT", "SAVE", "REL"))]
    # Four for each batch; the rest is for the run, and for each model of the tests that refers to runs or nodes.
    assert len(statements) <= 100 * 4 + 40
    # The rows themselves have 10 MB; the text of the captured statements is a good part of this.
    assert peak < 30_000_000


def test_a_deep_chain(database, eager):
    run = TreeRun.objects.create(state="SUCCESS", finished_at=timezone.now() - 2 * MONTH)
    rows = [NodeRun(run=run, task="t") for _ in range(3000)]
    for parent, child in pairwise(rows):
        child.parent = parent
    NodeRun.objects.bulk_create(rows)
    assert purged() == (1, 3000)


class TestCommand:
    def test_it_deletes(self, database, eager):
        a_run()
        a_run(days=1)
        assert command("--older-than", "30d") == "Deleted 1 run with 8 nodes.\n"
        assert TreeRun.objects.count() == 1

    def test_a_dry_run_only_counts(self, database, eager):
        a_run()
        a_run(task=fail)
        told = json.loads(command("--older-than", "30d", "--dry-run", "--format", "json"))
        assert told == {"FAILURE": {"runs": 1, "nodes": 8}, "SUCCESS": {"runs": 1, "nodes": 8}}
        assert "success: 1 run with 8 nodes" in command("--older-than", "30d", "--dry-run")
        assert TreeRun.objects.count() == 2

    def test_states(self, database, eager):
        a_run()
        a_run(task=fail)
        assert "Deleted 1 run" in command("--older-than", "30d", "--state", "failure")
        assert TreeRun.objects.get().state == "SUCCESS"

    def test_an_age_is_needed(self, database):
        with pytest.raises(CommandError, match="--older-than 30d, or set TASKTREE"):
            command()

    def test_the_retention_is_the_age(self, database, eager, settings):
        settings.TASKTREE = {"RETENTION": 30, "RETENTION_KEEP_FAILED": True}
        a_run()
        a_run(task=fail)
        assert "Deleted 1 run" in command()

    @pytest.mark.parametrize("arguments", [["--older-than", "soon"], ["--older-than", "30"], ["--state", "started"]])
    def test_what_is_no_age_or_no_final_state(self, database, arguments):
        with pytest.raises(CommandError):
            command(*arguments)


class TestRetention:
    def test_the_sweep_deletes(self, database, eager, settings):
        settings.TASKTREE = {"RETENTION": 30}
        a_run()
        a_run(days=1)
        assert sweep().purged == 1
        assert TreeRun.objects.count() == 1

    def test_without_it_nothing_goes(self, database, eager):
        a_run()
        assert sweep().purged == 0

    @pytest.mark.parametrize("value", ["30d", -1, True])
    def test_what_is_no_number_of_days(self, database, settings, value, caplog):
        """The rest of the sweep does not depend on it."""
        settings.TASKTREE = {"RETENTION": value}
        assert sweep().errors == 1
        assert "RETENTION" in caplog.text
        with pytest.raises(ImproperlyConfigured, match=r"RETENTION.*number of days"):
            command()

    def test_the_task_for_celery_beat(self, database, eager):
        a_run()
        assert purge_task(days=30) == {"runs": 1, "nodes": 8, "kept": 0}
        with pytest.raises(ValueError, match="needs days="):
            purge_task()
