"""Sub-runs in the admin, the JSON views, the commands and the handles."""

import json

import pytest
from django.urls import reverse

from django_tasktree import TaskTree
from django_tasktree.encoding import times
from django_tasktree.exceptions import NotPossible
from django_tasktree.reporting.statistics import Window, task_numbers
from tests import simulation
from tests.integration.admin.pages import RUNS, node_page, query_count, shown
from tests.integration.management.test_action_commands import tasktree
from tests.sample.tasks import echo

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def world(app):
    """Yield a simulated broker with one worker."""
    with simulation.simulated(app, "sub-runs-faces") as world:
        world.start_worker("w")
        yield world


@pytest.fixture
def run(world):
    tree = TaskTree("outer")
    tree.add_run("asking", label="ask")
    tree.add_task(echo, [1], label="beside")
    run = tree.apply_async()
    world.deliver_all("w")
    return run


def run_page(run):
    return reverse("admin:django_tasktree_treerun_change", args=[run.id])


class TestAdmin:
    def test_the_page_of_the_node_links_to_the_sub_run(self, run, admin_client):
        page = shown(admin_client, node_page(run["ask"]))
        assert f'<a href="{run_page(run["ask"].sub_run)}">asking</a>' in page
        assert "the end of its sub-run" in page
        assert "Sub-run" not in shown(admin_client, node_page(run["beside"]))

    def test_the_page_of_the_sub_run_links_to_the_node_and_its_run(self, run, admin_client):
        page = shown(admin_client, run_page(run["ask"].sub_run))
        assert f'<a href="{node_page(run["ask"])}">ask</a>' in page
        assert f'<a href="{run_page(run)}">outer</a>' in page
        assert "Started by node" not in shown(admin_client, run_page(run))

    def test_the_tree_links_to_the_sub_run(self, run, admin_client):
        assert f'<a class="tasktree-place" href="{run_page(run["ask"].sub_run)}">' in shown(admin_client, run_page(run))

    def test_without_permission_there_are_no_links(self, run, staff):
        client = staff("view_noderun")
        page = shown(client, node_page(run["ask"]))
        assert run_page(run["ask"].sub_run) not in page
        assert "asking" in page

    def test_if_one_of_them_was_deleted(self, run, admin_client):
        sub_run = run["ask"].sub_run
        run.revoke()
        sub_run.delete()
        assert f"{sub_run.id}, which was deleted" in shown(admin_client, node_page(run["ask"]))

    def test_if_the_first_run_was_deleted(self, run, admin_client):
        sub_run, node_id = run["ask"].sub_run, run["ask"].id
        run.revoke()
        run.delete()
        assert f"{node_id}, which was deleted" in shown(admin_client, run_page(sub_run))

    def test_watch_follows_the_outer_run(self, run, capsys):
        with pytest.raises(SystemExit):
            tasktree("watch", "--timeout", "0.1")
        assert f"Following run {run.id} of outer\n" in capsys.readouterr().err

    def test_the_list_marks_sub_runs_and_filters_them(self, run, admin_client):
        marked = 'asking <span class="tasktree-tag">sub-run</span></a>'
        names = {
            query: (marked in text, ">outer</a>" in text)
            for query in ("", "?sub_run=no", "?sub_run=yes")
            if (text := shown(admin_client, f"{RUNS}{query}"))
        }
        assert names == {"": (True, True), "?sub_run=no": (False, True), "?sub_run=yes": (True, False)}

    def test_only_pages_with_sub_runs_need_another_query(self, run, admin_client):
        plain = query_count(admin_client, node_page(run["beside"]))
        assert query_count(admin_client, node_page(run["ask"])) == plain + 1

    def test_it_can_be_completed_without_a_form(self, run, admin_client):
        page = shown(admin_client, reverse("admin:django_tasktree_noderun_control", args=[run["ask"].id, "complete"]))
        assert 'name="result"' in page


class TestOtherFaces:
    def test_json(self, run, admin_client):
        sub_run = run["ask"].sub_run
        listed = admin_client.get(reverse("tasktree:children", args=[run.id])).json()["nodes"]
        assert [node["sub_run"] for node in listed] == [str(sub_run.id), None]
        status = admin_client.get(reverse("tasktree:status", args=[sub_run.id])).json()
        assert status["parent"] == {"run": str(run.id), "node": str(run["ask"].id)}
        assert admin_client.get(reverse("tasktree:status", args=[run.id])).json()["parent"] is None

    def test_commands(self, run):
        sub_run = run["ask"].sub_run
        assert f"→ run {sub_run.id}" in tasktree("show", str(run.id))[0]
        listed = tasktree("list")[0]
        assert listed.count("↳ ") == 1
        assert f"{sub_run.id}  ↳ asking " in listed
        assert "↳ " not in tasktree("list", "--sub-runs", "hide")[0]
        assert [each["id"] for each in json.loads(tasktree("list", "--sub-runs", "only", "--format", "json")[0])] == [
            str(sub_run.id)
        ]
        assert f"started by node {run['ask'].id} of run {run.id}" in tasktree("show", str(sub_run.id))[0]
        shown = json.loads(tasktree("show", str(run.id), "--format", "json")[0])
        assert [node["sub_run"] for node in shown["nodes"]] == [str(sub_run.id), None]

    def test_handles(self, run):
        sub_run = run["ask"].sub_run
        assert (sub_run.parent, run.parent, run["beside"].sub_run) == (run["ask"], None, None)

    def test_there_is_no_signed_link_to_complete_the_node(self, run):
        with pytest.raises(NotPossible, match="only a wait node"):
            run["ask"].completion_url()

    def test_the_time_of_waiting_does_not_count_as_time_of_the_task(self, run):
        run["ask"].sub_run.send_event("ok")
        names = [numbers.task for numbers in task_numbers(Window.until(times.now()))]
        assert "django_tasktree.start_run" not in names

    def test_copies_start_sub_runs_of_their_own(self, run, world):
        copy = run.copy()
        world.deliver_all("w")
        assert copy["ask"].state == "WAITING"
        assert copy["ask"].sub_run not in (None, run["ask"].sub_run)
        alone = run["ask"].sub_run.copy()
        assert alone.parent is None

    def test_progress_and_previews(self, run):
        assert run.progress().by_state == {"WAITING": 1, "SUCCESS": 1}
        assert run.preview("revoke").revoked == 1
        assert run.revoke().revoked == 1
