"""The lists of runs and of nodes: what they show, what they find, and how many queries they take."""

import re
from uuid import UUID, uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from django_tasktree import TaskTree
from django_tasktree.admin import base
from django_tasktree.models import NodeRun, TreeRun
from tests.integration.admin.pages import NODES, RUNS, launch_roots, query_count, shown
from tests.sample import tasks

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("eager", "definitions")]


def test_query_count_of_the_list_of_runs_is_constant(admin_client, admin_user):
    for _ in range(2):
        TaskTree("few").apply_async(launched_by=admin_user)
    few = query_count(admin_client, RUNS)
    for _ in range(18):
        launch_roots([1], [2])
    TreeRun.objects.update(launched_by=admin_user)
    assert query_count(admin_client, RUNS) == few
    assert TreeRun.objects.count() == 20


def test_query_count_of_the_list_of_nodes_is_constant_and_rows_are_counted_once(admin_client):
    launch_roots(*[[n] for n in range(5)])
    few = query_count(admin_client, NODES)
    tree = TaskTree("many")
    root = tree.add_task(tasks.echo)
    for number in range(500):
        root.add_task(tasks.echo, [number])
    result = tree.apply_async()
    assert query_count(admin_client, NODES) == few
    assert query_count(admin_client, f"{NODES}?p=3") == few
    with CaptureQueriesContext(connection) as captured:
        admin_client.get(NODES)
    counts = [each["sql"] for each in captured if "COUNT(" in each["sql"]]
    assert len(counts) == 1
    assert "LIMIT" in counts[0]
    assert not [each for each in captured if '"traceback"' in each["sql"]]
    assert query_count(admin_client, f"{NODES}?run={result.id}") == few + 1


def test_lists_show_a_bounded_number_of_rows(admin_client, monkeypatch):
    monkeypatch.setattr(base, "MAX_LISTED", 3)
    launch_roots([1], [2], [3])
    assert "Only the first" not in shown(admin_client, NODES)
    launch_roots([4])
    assert "Only the first 3 nodes are counted and listed" in shown(admin_client, NODES)


def test_the_list_of_runs_shows_progress_and_finds_runs(admin_client):
    unnamed = launch_roots([1], [2])
    TreeRun.objects.filter(id=unnamed.id).update(name="")
    broken = launch_roots(["x"], name="broken", task=tasks.fail)
    TaskTree("keyed").apply_async(key="the-key")
    text = shown(admin_client, RUNS)
    assert f">{str(unnamed.id)[:13]}</a>" in text
    assert "2 / 2" in text
    assert "1 / 1, 1 failed" in text
    assert "no nodes" in text
    for term, name in [("brok", "broken"), (str(broken.id), "broken"), ("the-k", "keyed")]:
        assert re.findall(r"field-title.*?>([^<>]+)</a>", shown(admin_client, f"{RUNS}?q={term}")) == [name]
    assert "no tree runs" in shown(admin_client, f"{RUNS}?q={UUID(int=1)}")
    assert "no tree runs" in shown(admin_client, f"{RUNS}?definition=picky")
    assert "broken" in shown(admin_client, f"{RUNS}?definition=&state__exact=FAILURE")


def test_runs_are_found_by_name_id_and_ids_of_their_nodes(admin_client):
    one, _other = launch_roots([1], name="one"), launch_roots([2], name="other")
    node = NodeRun.objects.get(run_id=one.id)
    NodeRun.objects.filter(id=node.id).update(task_id=uuid4())
    node.refresh_from_db()
    for term in ("one", str(one.id), str(node.id), str(node.task_id), node.task_id.hex):
        found = admin_client.get(RUNS, {"q": term}).context["cl"].result_list
        assert [run.name for run in found] == ["one"], term
    assert not admin_client.get(RUNS, {"q": str(uuid4())}).context["cl"].result_list


def test_nodes_are_found_by_task_run_and_id(admin_client):
    one, other = launch_roots([1], name="one"), launch_roots([2, 3], name="other", task=tasks.add)
    for term in ["sample.tasks.add", other.id, other.children[0].id, other.children[0].task_id]:
        text = shown(admin_client, f"{NODES}?q={term}")
        assert text.count('class="field-name"') == 1, term
        assert 'tasks.add">add</span></a>' in text
    text = shown(admin_client, f"{NODES}?run={one.id}")
    assert "tasks.add" not in text
    assert "By run" in text
    assert "no nodes here" in shown(admin_client, f"{NODES}?run={UUID(int=1)}")
    assert admin_client.get(f"{NODES}?run=nonsense").status_code == 302
