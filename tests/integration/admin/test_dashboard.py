"""The dashboard on the app's index page."""

import re
from datetime import datetime, timedelta, timezone
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from django_tasktree import TaskTree
from django_tasktree.admin.pages.charts import hours_chart
from django_tasktree.encoding.ids import first_id_since, new_id
from django_tasktree.models import NodeRun, TreeRun, Worker
from django_tasktree.reporting import statistics
from django_tasktree.reporting.statistics import Window
from tests.sample.tasks import echo, fail

INDEX = "/admin/django_tasktree/"
NOW = datetime(2020, 11, 24, 15, 20, tzinfo=timezone.utc)


def launch(*tasks, name="", **options):
    """Launch a tree that has these tasks as its root nodes."""
    tree = TaskTree(name)
    for task in tasks:
        tree.add_task(task, ["a"])
    return tree.apply_async(**options)


def ended_run(*tasks, ago=timedelta(), took=timedelta(seconds=2)):
    """Return a run that ended some time ago."""
    result = launch(*tasks)
    at = datetime.now(timezone.utc) - ago
    TreeRun.objects.filter(id=result.id).update(finished_at=at)
    NodeRun.objects.filter(run_id=result.id).update(started_at=at - took, finished_at=at)
    return result


def counts_in(hours, state):
    """Return how many ended in a state, for each hour."""
    return [hour.by_state.get(state, 0) for hour in hours]


@pytest.mark.usefixtures("database", "eager")
class TestNumbers:
    """The numbers of the last 24 hours, on each database."""

    def test_runs_and_nodes_per_hour(self):
        for ago in (0, 0, 90, 60 * 5, 60 * 30):
            ended_run(echo, fail, ago=timedelta(minutes=ago))
        launch(echo)
        window = Window.until(datetime.now(timezone.utc))
        runs, nodes = statistics.runs_per_hour(window), statistics.nodes_per_hour(window)
        assert (len(runs), sum(hour.total for hour in runs), sum(hour.total for hour in nodes)) == (24, 5, 9)
        assert counts_in(runs, "FAILURE")[-1] == 2
        assert counts_in(runs, "SUCCESS")[-1] == 1
        assert sum(counts_in(nodes, "FAILURE")) == 4
        assert runs[-1].start <= datetime.now(timezone.utc) < runs[-1].start + timedelta(hours=1)

    def test_numbers_of_each_task(self):
        ended_run(echo, echo, took=timedelta(seconds=3))
        ended_run(echo, took=timedelta(seconds=9))
        ended_run(fail, took=timedelta(seconds=1))
        tasks = statistics.task_numbers(Window.until(datetime.now(timezone.utc)))
        slow, quick = statistics.slowest(tasks)
        assert (slow.task, slow.ended, slow.failed, slow.mean.seconds, slow.longest.seconds) == (echo.name, 3, 0, 5, 9)
        assert (quick.task, quick.failed, quick.failed_percent) == (fail.name, 1, 100)
        assert statistics.most_failing(tasks) == [quick]

    def test_only_the_newest_nodes_count(self, monkeypatch):
        monkeypatch.setattr(statistics, "MAX_NODES", 3)
        assert not Window.until(datetime.now(timezone.utc)).is_cut
        for _ in range(3):
            ended_run(echo, echo)
        window = Window.until(datetime.now(timezone.utc))
        assert window.is_cut
        assert NodeRun.objects.filter(id__gte=window.first_node).count() == 4
        assert sum(hour.total for hour in statistics.nodes_per_hour(window)) == 4


def test_the_window_begins_with_a_whole_hour(db):
    window = Window.until(NOW)
    assert (window.start, window.hour(23)) == (datetime(2020, 11, 23, 16, tzinfo=timezone.utc), NOW.replace(minute=0))
    assert first_id_since(NOW) < new_id()


@pytest.mark.django_db(transaction=True)
class TestOpen:
    """Runs and nodes that have not ended."""

    def test_counts_by_state(self):
        launch(echo, echo)
        launch(echo, draft=True)
        launch(echo).pause()
        launch(echo).revoke()
        assert statistics.open_runs() == {"STARTED": 1, "DRAFT": 1, "PAUSED": 1}
        assert statistics.open_nodes() == {"QUEUED": 3, "PENDING": 1}

    def test_nodes_that_have_waited_longest_come_first(self):
        soon, late = launch(echo, name="soon"), launch(echo, name="late")
        launch(echo, name="paused").pause()
        tree = TaskTree("later")
        tree.add_task(echo, countdown=3600)
        tree.apply_async()
        NodeRun.objects.filter(run_id=late.id).update(queued_at=datetime.now(timezone.utc) - timedelta(hours=1))
        assert [node.run_id for node in statistics.longest_waiting()] == [late.id, soon.id]


def dashboard(client):
    """Return the HTML of the dashboard."""
    return client.get(INDEX).content.decode()


@pytest.mark.django_db(transaction=True)
class TestPage:
    """What the dashboard shows."""

    def test_each_empty_part_says_so(self, admin_client):
        html = dashboard(admin_client)
        for text in ("No runs in progress.", "No node waits or runs.", "No worker is running.", "No task failed."):
            assert text in html
        assert "0 ended" in html

    def test_all_parts(self, admin_client, eager):
        ended_run(echo, fail)
        Worker.objects.create(
            id=uuid4(),
            hostname="celery@one",
            pid=7,
            started_at=NOW,
            last_seen=NOW,
            beating_since=NOW,
            concurrency=4,
            queues=["a", "b"],
        )
        html = dashboard(admin_client)
        assert "1 ended, 1 of them failed" in html
        assert "2 ended, 1 of them failed" in html
        assert html.count('tasktree-chart"') == 2
        number = r'"[\d.]+"'
        failed = rf'<rect class="tasktree-fill-failure" x={number} y={number} width={number} height={number}>'
        assert re.search(failed, html)
        for text in ("celery@one", "a, b", "0 / 4", "lost", echo.name, "100.0", "2.0 s"):
            assert text in html, text

    def test_the_page_names_the_address_of_its_updates(self, admin_client):
        address = reverse("admin:django_tasktree_treerun_dashboard")
        assert f'data-url="{address}"' in dashboard(admin_client)
        launch(echo, name="a new one")
        answer = admin_client.get(address)
        assert "a new one" in answer.json()["html"]
        assert answer["ETag"]

    def test_query_count_does_not_depend_on_the_number_of_runs(self, admin_client):
        def queries():
            with CaptureQueriesContext(connection) as captured:
                dashboard(admin_client)
            return len(captured)

        launch(echo)
        few = queries()
        for _ in range(30):
            launch(echo, echo, echo)
        assert queries() == few <= 20

    @pytest.mark.parametrize(
        ("permissions", "visible"),
        [
            (["view_treerun"], {"Runs"}),
            (["view_treerun", "view_noderun"], {"Runs", "Nodes", "Waiting", "Slowest", "Most failing"}),
            (["view_treerun", "view_worker"], {"Runs", "Workers"}),
            (["view_noderun"], set()),
        ],
    )
    def test_the_parts_depend_on_permissions(self, staff, permissions, visible):
        client = staff(*permissions)
        html = dashboard(client)
        headings = {"Runs", "Nodes", "Workers", "Waiting", "Slowest", "Most failing"}
        assert {each for each in headings if re.search(rf'<h2 id="dashboard-\w+">{each}', html)} == visible
        allowed = client.get(reverse("admin:django_tasktree_treerun_dashboard")).status_code
        assert allowed == (200 if visible else 403)


@pytest.mark.django_db(transaction=True)
def test_runs_are_filtered_by_the_user_who_launched_them(admin_client, admin_user, django_user_model):
    other = django_user_model.objects.create_user("other")
    django_user_model.objects.create_user("never")
    for name, user in (("mine", admin_user), ("theirs", other), ("without a user", None)):
        launch(echo, name=name, launched_by=user)
    runs = reverse("admin:django_tasktree_treerun_changelist")

    def listed(query=""):
        return {run.name for run in admin_client.get(runs + query).context["cl"].result_list}

    html = admin_client.get(runs).content.decode()
    assert ("other" in html, "never" in html) == (True, False)
    assert listed() == {"mine", "theirs", "without a user"}
    assert listed(f"?launched_by={other.pk}") == {"theirs"}
    assert listed("?launched_by=") == {"without a user"}
    assert admin_client.get(f"{runs}?launched_by=nonsense").status_code == 302
    assert admin_client.get(f"{runs}?launched_by={9**30}").status_code == 302


@pytest.mark.parametrize("number", [0, 7, 100, 100_000, 90_000_000])
def test_the_labels_of_a_chart_fit_into_the_drawing(number):
    """Labels are anchored at their end, so a long one could extend beyond the left edge."""
    hours = [statistics.Hour(NOW + timedelta(hours=hour), {"SUCCESS": number}) for hour in range(24)]
    drawn = str(hours_chart(hours, "nodes", {"SUCCESS": "success"}))
    labels = re.findall(r'<text class="tasktree-tick-label" x="([\d.]+)" y="[\d.]+" text-anchor="end">([\d,]+)<', drawn)
    assert len(labels) == 2
    # Digits of 11 pixels are about 6 wide.
    assert all(float(x) >= 6.5 * len(text) for x, text in labels), labels


def test_a_limited_number_of_open_nodes_is_counted(admin_client, monkeypatch):
    run = TreeRun.objects.create(state="STARTED")
    NodeRun.objects.bulk_create([NodeRun(run=run, state="QUEUED", position=place) for place in range(3)])
    assert statistics.open_nodes() == {"QUEUED": 3}
    monkeypatch.setattr(statistics, "MAX_NODES", 2)
    assert statistics.open_nodes() == {"QUEUED": 3}
    NodeRun.objects.bulk_create([NodeRun(run=run, state="QUEUED", position=place) for place in range(3, 9)])
    assert statistics.open_nodes() == {"QUEUED": 3}
    assert "2+" in admin_client.get(INDEX).content.decode()
