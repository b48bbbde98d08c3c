"""The nodes of large runs are not counted at each look, and the numbers are right nevertheless."""

from datetime import timedelta

import pytest
from django.db import connections, transaction
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from django_tasktree import TaskTree, TreeResult
from django_tasktree.encoding import times
from django_tasktree.models import NodeCounts, NodeRun, TreeRun
from django_tasktree.reporting import node_counts
from django_tasktree.reporting.node_counts import Look
from django_tasktree.reporting.progress import progress_of, progress_of_all
from tests.databases import active_alias
from tests.integration.engine.trees import insert_run, tree_of
from tests.sample import tasks

pytestmark = pytest.mark.django_db(transaction=True)

SMALL, QUICK = 3, 6


@pytest.fixture(autouse=True)
def low_limits(monkeypatch):
    """Treat runs of more than three nodes as large, and those of more than six as too large for a page."""
    monkeypatch.setattr(node_counts, "SMALL", SMALL)
    monkeypatch.setattr(node_counts, "QUICK", QUICK)


def row_of(launched):
    """Return the row of a run."""
    return TreeRun.objects.get(id=getattr(launched, "run_id", None) or launched.id)


def insert(roots):
    """Insert a run whose root nodes stay queued, and return its row."""
    return row_of(insert_run(tree_of(*[[] for _ in range(roots)]))[0])


def run_to_its_end(roots):
    """Run a tree in this process, and return its handle."""
    tree = TaskTree()
    for number in range(roots):
        tree.add_task(tasks.echo, [number])
    return tree.apply_async()


def looked(run, look=Look.EXACT):
    """Return the progress of a run, and how often its nodes were counted."""
    with CaptureQueriesContext(connections[active_alias()]) as captured:
        progress = progress_of(row_of(run), look)
    return progress, sum("GROUP BY" in query["sql"] for query in captured.captured_queries)


def make_due(run):
    """Let the time pass after which a run may be counted again."""
    past = times.after(times.now(), -timedelta(hours=1).total_seconds())
    NodeCounts.objects.using(active_alias()).filter(run_id=run.id).update(due_at=past)


def finish_one(run):
    """Let a node of a run finish."""
    key = NodeRun.objects.filter(run_id=run.id, state="QUEUED").values_list("id", flat=True)[0]
    NodeRun.objects.filter(id=key).update(state="SUCCESS")


@pytest.mark.parametrize("look", Look)
def test_a_small_run_is_counted_at_each_look(database, look):
    run = insert(SMALL)
    for done in range(SMALL):
        progress, counted = looked(run, look)
        assert (progress.by_state.get("SUCCESS", 0), progress.total, counted) == (done, SMALL, 1)
        finish_one(run)
    assert not NodeCounts.objects.exists()


@pytest.mark.parametrize("look", [Look.EXACT, Look.POLL, Look.PAGE])
def test_an_ended_run_is_counted_once(database, eager, look):
    result = run_to_its_end(SMALL + 1)
    assert looked(result, look)[1] == 1
    make_due(result)
    for again in Look:
        progress, counted = looked(result, again)
        assert (progress.by_state, progress.is_counted) == ({"SUCCESS": SMALL + 1}, True)
        assert counted == (again is Look.FRESH)


def test_an_ended_run_that_was_reopened_is_counted_anew(database, eager):
    result = run_to_its_end(SMALL + 1)
    looked(result)
    result.children[0].add_task(tasks.echo)
    assert result.state == "SUCCESS"
    progress, counted = looked(result, Look.PAGE)
    assert (progress.by_state, counted) == ({"SUCCESS": SMALL + 2}, 1)
    assert looked(result)[1] == 0


def test_an_ended_run_with_tasks_that_still_run_is_counted_again(database):
    run = insert(SMALL + 1)
    NodeRun.objects.filter(run_id=run.id).update(state="STARTED")
    TreeRun.objects.filter(id=run.id).update(state="REVOKED", finished_at=times.now())
    assert looked(run)[0].by_state == {"STARTED": SMALL + 1}
    NodeRun.objects.filter(run_id=run.id).update(state="REVOKED")
    make_due(run)
    assert looked(run)[0].by_state == {"REVOKED": SMALL + 1}


def test_the_counts_of_a_running_run_are_kept_until_they_are_due(database):
    run = insert(SMALL + 1)
    first, counted = looked(run)
    assert counted == 1
    due_at = times.after(times.now(), 3600)
    NodeCounts.objects.using(active_alias()).update(due_at=due_at)
    finish_one(run)
    for look in (Look.EXACT, Look.POLL, Look.PAGE):
        progress, counted = looked(run, look)
        assert (progress, progress.counted_at, counted) == (first, first.counted_at, 0)
    make_due(run)
    assert looked(run)[0].by_state == {"QUEUED": SMALL, "SUCCESS": 1}


def test_the_end_of_a_run_is_counted_at_once(database):
    run = insert(SMALL + 1)
    looked(run)
    NodeCounts.objects.using(active_alias()).update(due_at=times.after(times.now(), 3600))
    NodeRun.objects.filter(run_id=run.id).update(state="SUCCESS")
    TreeRun.objects.filter(id=run.id).update(state="SUCCESS", finished_at=times.now())
    assert looked(run, Look.PAGE)[0].by_state == {"SUCCESS": SMALL + 1}


def test_the_time_until_the_next_count_is_twenty_times_as_long_as_the_last(database, monkeypatch):
    run = insert(SMALL + 1)
    seconds = iter([10.0, 12.5])
    monkeypatch.setattr(node_counts, "monotonic", lambda: next(seconds))
    looked(run)
    row = NodeCounts.objects.using(active_alias()).get()
    rest = times.elapsed(row.counted_at, row.due_at).total_seconds()
    assert 50 <= rest < 60


def test_fresh_numbers_on_request():
    run = insert(SMALL + 1)
    looked(run)
    NodeCounts.objects.update(due_at=times.after(times.now(), 3600))
    finish_one(run)
    handle = TreeResult(run.id)
    assert handle.progress().by_state == {"QUEUED": SMALL + 1}
    assert handle.progress(fresh=True).by_state == {"QUEUED": SMALL, "SUCCESS": 1}
    assert handle.progress().by_state == {"QUEUED": SMALL, "SUCCESS": 1}


def test_a_page_does_not_count_a_very_large_run_but_its_poll_does(database):
    run = insert(QUICK + 1)
    progress, counted = looked(run, Look.PAGE)
    assert (progress.total, progress.done, progress.is_counted, counted) == (SMALL, 0, False, 0)
    assert not NodeCounts.objects.exists()
    progress, counted = looked(run, Look.POLL)
    assert (progress.total, progress.is_counted, counted) == (QUICK + 1, True, 1)
    make_due(run)
    progress, counted = looked(run, Look.PAGE)
    assert (progress.total, progress.is_counted, counted) == (QUICK + 1, True, 0)


def test_a_page_does_not_show_old_counts_of_a_running_run(database):
    run = insert(QUICK + 1)
    looked(run)
    old = times.after(times.now(), -3600)
    NodeCounts.objects.using(active_alias()).update(counted_at=old, due_at=old)
    assert not looked(run, Look.PAGE)[0].is_counted


def test_only_one_of_several_requests_counts(database):
    run = insert(QUICK + 1)
    looked(run)
    make_due(run)
    counts = NodeCounts.objects.using(active_alias())
    counts.update(claimed_until=times.after(times.now(), 60))
    progress, counted = looked(run, Look.POLL)
    assert (progress.total, counted) == (QUICK + 1, 0)
    counts.update(claimed_until=times.after(times.now(), -1))
    assert looked(run, Look.POLL)[1] == 1
    assert counts.get().claimed_until is None


def test_the_first_of_several_requests_counts(database):
    run = insert(QUICK + 1)
    assert node_counts._claim(run.id, None)
    assert not node_counts._claim(run.id, None)
    progress, counted = looked(run, Look.POLL)
    assert (progress.is_counted, counted) == (False, 0)


@pytest.mark.parametrize("look", Look)
def test_the_number_of_queries_does_not_depend_on_the_number_of_runs(look):
    def queries(runs):
        with CaptureQueriesContext(connections[active_alias()]) as captured:
            found = progress_of_all(runs, look)
        return found, len(captured)

    few = [insert(SMALL + 1), insert(1)]
    many = [*[insert(SMALL + 1) for _ in range(4)], *[insert(1) for _ in range(3)]]
    assert queries(few)[1] == queries(many)[1]
    found, _ = queries(many)
    counted = [run.id for run in many if found[run.id].is_counted]
    # Of the large runs, a page and its poll count one at a time.
    assert len(counted) == (3 + 2 if look in (Look.POLL, Look.PAGE) else len(many))


def test_polls_count_the_runs_of_a_list_one_after_the_other():
    runs = [insert(SMALL + 1) for _ in range(3)]
    for number in range(3):
        found = progress_of_all(runs, Look.POLL)
        assert sum(found[run.id].is_counted for run in runs) == number + 1


def test_nothing_is_kept_in_the_transaction_of_a_caller(database):
    """The row would stay locked until its end."""
    run = insert(SMALL + 1)
    with transaction.atomic(using=active_alias()):
        assert progress_of(run).total == SMALL + 1
        assert not NodeCounts.objects.exists()


def test_counts_are_deleted_with_the_run_and_are_not_copied(database, eager):
    result = run_to_its_end(SMALL + 1)
    looked(result)
    copy = result.copy()
    assert [row.run_id for row in NodeCounts.objects.all()] == [result.id]
    result.delete()
    assert not NodeCounts.objects.exists()
    assert looked(copy)[0].by_state == {"SUCCESS": SMALL + 1}


def test_pages_of_a_very_large_run_say_so_until_it_was_counted(admin_client):
    run = insert(QUICK + 1)
    page = reverse("admin:django_tasktree_treerun_change", args=[run.id])
    runs = reverse("admin:django_tasktree_treerun_changelist")
    text = "more than 3 nodes"
    for address in (page, runs):
        assert text in admin_client.get(address).content.decode()
    live = admin_client.get(reverse("admin:django_tasktree_treerun_live", args=[run.id])).json()
    assert text not in live["html"]
    for address in (page, runs):
        response = admin_client.get(address).content.decode()
        assert text not in response
        assert "0 / 7" in response


def test_an_ended_run_that_was_not_counted_is_polled_again(admin_client):
    run = insert(QUICK + 1)
    NodeRun.objects.filter(run_id=run.id).update(state="SUCCESS")
    TreeRun.objects.filter(id=run.id).update(state="SUCCESS", finished_at=times.now())
    page = reverse("admin:django_tasktree_treerun_change", args=[run.id])
    assert 'data-over=""' in admin_client.get(page).content.decode()
    widget = reverse("tasktree:progress", args=[run.id])
    assert "data-tasktree-over" not in admin_client.get(widget).content.decode()
    assert admin_client.get(reverse("tasktree:status", args=[run.id])).json()["progress"]["is_counted"] is True
    assert 'data-over="1"' in admin_client.get(page).content.decode()
    assert "data-tasktree-over" in admin_client.get(widget).content.decode()


def test_the_polls_of_the_list_count(admin_client):
    insert(QUICK + 1)
    cells = admin_client.get(reverse("admin:django_tasktree_treerun_list_live")).json()["rows"][0]["cells"]
    assert "0 / 7" in cells["progress"]
