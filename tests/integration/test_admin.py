"""The admin: what its pages show, what they cost, and whom they let in."""

import re
from datetime import date, datetime, timezone
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Literal
from uuid import UUID, uuid4

import pytest
from django.contrib.admin.models import ADDITION, LogEntry
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django_celery_results.models import TaskResult

from django_tasktree import TaskTree, serialization
from django_tasktree.admin import bounded_paginator
from django_tasktree.models import NodeRun, TreeRun
from django_tasktree.registry import Registry
from testproject.celery import app
from tests import celery_settings
from tests.sample import tasks

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("eager")]

RUNS = reverse("admin:django_tasktree_treerun_changelist")
NODES = reverse("admin:django_tasktree_noderun_changelist")
LAUNCH = reverse("admin:django_tasktree_treerun_launch")


class Colour(Enum):
    RED = "r"
    GREEN = "g"


def everything(
    text: str,
    number: int,
    ratio: float,
    price: Decimal,
    sure: bool,
    day: date,
    start: datetime,
    ident: UUID,
    where: Path,
    colour: Colour,
    level: Literal["low", "high"],
    numbers: list[int],
    user: User,
    note: str | None = None,
    users: list[User] | None = None,
) -> TaskTree:
    """Take <b>every</b> kind of parameter."""
    tree = TaskTree()
    tree.add_task(tasks.echo, [f"{text} {user.username} {colour.name}"])
    return tree


def picky(year: int = 2026, key: str = "") -> TaskTree:
    """Refuse years."""
    TreeRun.objects.create(name="written by the definition")
    if year < 2000:
        raise RuntimeError("no <i>computers</i>")
    TreeRun.objects.filter(name="written by the definition").delete()
    tree = TaskTree()
    tree.add_task(tasks.echo, [year])
    return tree


@pytest.fixture(autouse=True)
def definitions(monkeypatch):
    registry = Registry()
    registry.add(everything)
    registry.add(picky)
    monkeypatch.setattr("django_tasktree.registry.registry", registry)
    return registry


def launched(*args_of_roots, name="run", task=tasks.echo):
    tree = TaskTree(name)
    for args in args_of_roots:
        tree.add_task(task, args)
    return tree.apply_async()


def run_page(result):
    return reverse("admin:django_tasktree_treerun_change", args=[result.id])


def node_page(node):
    return reverse("admin:django_tasktree_noderun_change", args=[node.id])


def launch_page(name):
    return reverse("admin:django_tasktree_treerun_launch_definition", args=[name])


def shown(client, address):
    """The page's content, without what surrounds it on every page."""
    response = client.get(address)
    assert response.status_code == 200, address
    text = response.content.decode()
    assert "style=" not in text.partition('id="content')[2]
    return text.partition('id="content"')[2]


def queries(client, address):
    client.get(address)
    with CaptureQueriesContext(
        connection,
    ) as captured:
        assert client.get(address).status_code == 200
    return len(captured)


# Lists


def test_the_list_of_runs_costs_the_same_for_any_number_of_runs(admin_client, admin_user):
    for _ in range(2):
        TaskTree("few").apply_async(launched_by=admin_user)
    few = queries(admin_client, RUNS)
    for _ in range(18):
        launched([1], [2])
    TreeRun.objects.update(launched_by=admin_user)
    assert queries(admin_client, RUNS) == few
    assert TreeRun.objects.count() == 20


def test_the_list_of_nodes_costs_the_same_for_any_number_of_nodes_and_counts_once(admin_client):
    launched(*[[n] for n in range(5)])
    few = queries(admin_client, NODES)
    tree = TaskTree("many")
    root = tree.add_task(tasks.echo)
    for number in range(500):
        root.add_task(tasks.echo, [number])
    result = tree.apply_async()
    assert queries(admin_client, NODES) == few
    assert queries(admin_client, f"{NODES}?p=3") == few
    with CaptureQueriesContext(connection) as captured:
        admin_client.get(NODES)
    counts = [each["sql"] for each in captured if "COUNT(" in each["sql"]]
    assert len(counts) == 1
    assert "LIMIT" in counts[0]
    assert not [each for each in captured if '"traceback"' in each["sql"]]
    assert queries(admin_client, f"{NODES}?run={result.id}") == few + 1


def test_pages_of_large_trees_cost_the_same_as_those_of_small_ones(admin_client):
    def with_children(number):
        tree = TaskTree()
        root = tree.add_task(tasks.echo)
        for n in range(number):
            root.add_task(tasks.echo, [n]).add_task(tasks.echo)
        return tree.apply_async()

    small, large = with_children(5), with_children(250)
    assert queries(admin_client, run_page(small)) == queries(admin_client, run_page(large))
    one, other = small.children[0], large.children[0]
    assert queries(admin_client, node_page(one)) == queries(admin_client, node_page(other))
    parent = f"{run_page(large)}?parent={other.id}"
    text = shown(admin_client, f"{parent}&page=2")
    assert "51–100 of 250" in text
    assert text.count('class="tasktree-depth-0"') == 50
    assert text.count('class="tasktree-depth-') == 100
    assert queries(admin_client, parent) <= queries(admin_client, run_page(large)) + 1


def test_a_deep_chain_is_shown_a_few_levels_at_a_time(admin_client):
    tree = TaskTree("deep")
    for number in range(300):
        tree.push(tasks.echo, [number])
    result = tree.apply_async()
    text = shown(admin_client, run_page(result))
    assert text.count('class="tasktree-depth-') == 4
    assert "show 1 child" in text
    deep = NodeRun.objects.get(run_id=result.id, args="[200]")
    text = shown(admin_client, f"{run_page(result)}?parent={deep.id}")
    assert "(201)" in text
    assert "… ›" in text
    assert queries(admin_client, f"{run_page(result)}?parent={deep.id}") <= queries(admin_client, run_page(result)) + 1


def test_lists_page_through_a_bounded_number_of_rows(admin_client, monkeypatch):
    monkeypatch.setattr(bounded_paginator, "MOST", 3)
    launched([1], [2], [3])
    assert "Only the first" not in shown(admin_client, NODES)
    launched([4])
    assert "Only the first 3 nodes are counted and listed" in shown(admin_client, NODES)


def test_the_list_of_runs_shows_progress_and_finds_runs(admin_client):
    unnamed = launched([1], [2])
    TreeRun.objects.filter(id=unnamed.id).update(name="")
    broken = launched(["x"], name="broken", task=tasks.fail)
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


def test_nodes_are_found_by_task_run_and_id(admin_client):
    one, other = launched([1], name="one"), launched([2, 3], name="other", task=tasks.add)
    for term in ["sample.tasks.add", other.id, other.children[0].id, other.children[0].task_id]:
        text = shown(admin_client, f"{NODES}?q={term}")
        assert text.count('class="field-name"') == 1, term
        assert 'tasks.add">add</span></a>' in text
    text = shown(admin_client, f"{NODES}?run={one.id}")
    assert "tasks.add" not in text
    assert "By run" in text
    assert "no nodes here" in shown(admin_client, f"{NODES}?run={UUID(int=1)}")
    assert admin_client.get(f"{NODES}?run=nonsense").status_code == 302


# Pages


def test_the_page_of_a_run_shows_its_errors_and_what_was_not_reached(admin_client):
    tree = TaskTree("<u>name</u>")
    failing = tree.add_task(tasks.fail, ["<script>alert(1)</script>"])
    failing.add_task(tasks.echo).add_task(tasks.echo)
    failing.add_task(tasks.echo, run_when="failure")
    failing.gather(tasks.total, [failing.outputs])
    tree.definition, tree.params = "d", {"a": "</pre>"}
    text = shown(admin_client, run_page(tree.apply_async(key="k")))
    assert "CustomError</strong>: &lt;script&gt;alert(1)" in text
    for part in ["not reached", "after failure", "gather", "&lt;u&gt;name", "&lt;/pre&gt;", "skipped"]:
        assert part in text
    assert "<script>alert" not in text


def test_an_empty_tree_and_a_wrong_parent(admin_client):
    empty, other = TaskTree("empty").apply_async(), launched([1])
    assert "This tree has no nodes." in shown(admin_client, run_page(empty))
    leaf = other.children[0].id
    assert "This node has no children." in shown(admin_client, f"{run_page(other)}?parent={leaf}&page=x")
    for parent in [leaf, "nonsense"]:
        assert admin_client.get(f"{run_page(empty)}?parent={parent}").status_code == 404


def test_a_result_is_escaped(admin_client):
    evil = '</pre><script>alert("x")</script>'
    node = launched([{"<b>": [evil] * 40}]).children[0]
    for text in [shown(admin_client, node_page(node)), shown(admin_client, run_page(node.run))]:
        assert "&lt;script&gt;" in text
        assert "<script>alert" not in text
        assert "<b>" not in text
    assert "<details>" in shown(admin_client, node_page(node))


@pytest.fixture
def accepts_pickle():
    with celery_settings.changed(app, accept_content=["json", "pickle"]):
        yield


class Bomb:
    exploded = False

    def __reduce__(self):
        return explode, ()


def explode():
    Bomb.exploded = True


def test_a_pickled_text_is_not_loaded(admin_client, accepts_pickle):
    node = launched([1]).children[0].node
    text = serialization.dumps([Bomb()], prefer="pickle")
    NodeRun.objects.filter(id=node.id).update(result=text, args=text, kwargs=text)
    page = shown(admin_client, node_page(node))
    assert page.count(f"Pickled, {len(text)} characters.") == 3
    assert "echo</a><span" in shown(admin_client, run_page(node.run))
    assert not Bomb.exploded
    # It would have.
    serialization.loads(text)
    assert Bomb.exploded


def test_the_page_of_a_node_shows_its_attempts_and_their_task_results(admin_client, staff):
    node = launched([5], task=tasks.auto_flaky).children[0].node
    row = TaskResult.objects.create(task_id=str(node.task_id))
    link = reverse("admin:django_celery_results_taskresult_change", args=[row.pk])
    text = shown(admin_client, node_page(node))
    assert node.attempts == 3
    assert text.count("tasktree-state-retry") == 2
    assert "Traceback (most recent call last)" in text
    assert "CustomError: try 1</summary>" in text
    assert text.count(link) == 1
    assert link not in shown(staff("view_noderun"), node_page(node))


def test_a_node_that_was_not_started(admin_client):
    tree = TaskTree()
    tree.add_task(tasks.fail).add_task(tasks.echo)
    node = tree.apply_async().children[0].children[0]
    text = shown(admin_client, node_page(node))
    assert "No worker has started this node." in text
    assert node_page(node.parent) in text


# Permissions


def test_no_row_can_be_added_or_changed_and_no_single_node_deleted(admin_client):
    result = launched([1])
    node = result.children[0]
    for page, name in [(run_page(result), "treerun"), (node_page(node), "noderun")]:
        assert admin_client.post(page, {"name": "other", "task": "other"}).status_code == 403
        assert admin_client.get(reverse(f"admin:django_tasktree_{name}_add")).status_code == 403
    assert (
        admin_client.post(reverse("admin:django_tasktree_noderun_delete", args=[node.id]), {"post": "yes"}).status_code
        == 403
    )
    assert NodeRun.objects.filter(id=node.id).exists()


def test_whoever_may_only_see_runs_sees_no_nodes_and_no_button(staff):
    client = staff("view_treerun")
    result = launched(["secret"])
    text = shown(client, run_page(result))
    assert "secret" not in text
    assert NODES not in text
    assert "Launch tree" not in shown(client, RUNS)
    assert client.get(NODES).status_code == 403
    assert client.get(node_page(result.children[0])).status_code == 403
    for page in [LAUNCH, launch_page("picky")]:
        assert client.get(page).status_code == 403
        assert client.post(page, {"param-year": 2026}).status_code == 403
    assert TreeRun.objects.count() == 1


def test_whoever_may_only_launch_launches_and_sees_no_runs(staff):
    client = staff("launch_treerun")
    assert client.get(RUNS).status_code == 403
    assert "picky" in shown(client, LAUNCH)
    response = client.post(launch_page("picky"), {"param-year": 2026})
    assert response.status_code == 302
    assert response.url == LAUNCH
    assert "Launched “picky”." in client.get(LAUNCH).content.decode()


def test_the_button_is_there_with_the_permission_and_nobody_enters_unknown(staff, client):
    assert client.get(LAUNCH).status_code == 302
    client = staff("view_treerun", "launch_treerun")
    assert f'href="{LAUNCH}"' in shown(client, RUNS)
    assert client.get(launch_page("no/such")).status_code == 404


# Launching


def posted(user):
    return {
        "param-text": "hello",
        "param-number": "7",
        "param-ratio": "0.5",
        "param-price": "0.10",
        "param-sure": "on",
        "param-day": "2026-05-01",
        "param-start_0": "2026-05-01",
        "param-start_1": "12:30:00",
        "param-ident": str(UUID(int=7)),
        "param-where": "/tmp/x",
        "param-colour": "GREEN",
        "param-level": '"high"',
        "param-numbers": "1, 2",
        "param-user": str(user.pk),
        "param-users": f"{user.pk}",
        "key": "k-1",
    }


def test_every_kind_of_parameter_is_launched_and_the_launch_logged(admin_client, admin_user):
    response = admin_client.post(launch_page("everything"), posted(admin_user))
    run = TreeRun.objects.get()
    assert response.status_code == 302
    assert response.url == run_page(run)
    assert run.params == {
        "text": "hello",
        "number": 7,
        "ratio": 0.5,
        "price": "0.10",
        "sure": True,
        "day": "2026-05-01",
        "start": datetime(2026, 5, 1, 12, 30, tzinfo=timezone.utc).isoformat(),
        "ident": str(UUID(int=7)),
        "where": "/tmp/x",
        "colour": "g",
        "level": "high",
        "numbers": [1, 2],
        "user": admin_user.pk,
        "note": None,
        "users": [admin_user.pk],
    }
    assert (run.definition, run.key, run.launched_by, run.state) == ("everything", "k-1", admin_user, "SUCCESS")
    entry = LogEntry.objects.get()
    assert (entry.action_flag, entry.object_id, entry.user) == (ADDITION, str(run.pk), admin_user)
    assert entry.get_change_message() == "Launched everything."
    assert "Launched “everything”." in admin_client.get(response.url).content.decode()


def test_the_same_key_leads_to_the_run_that_exists(admin_client):
    for _ in range(2):
        response = admin_client.post(launch_page("picky"), {"param-year": "2026", "key": "k"})
    run = TreeRun.objects.get()
    assert response.url == run_page(run)
    assert LogEntry.objects.count() == 1
    assert "nothing new was launched" in admin_client.get(response.url).content.decode()


def test_a_key_of_another_run_is_told_beside_the_key(admin_client, caplog):
    admin_client.post(launch_page("picky"), {"param-year": "2026", "key": "k"})
    response = admin_client.post(launch_page("picky"), {"param-year": "2027", "key": "k"})
    assert response.context["errors"] == {
        "key": ["This key belongs to the run “picky”, which has another definition or other parameters."]
    }
    assert TreeRun.objects.count() == 1
    assert "could not be launched" not in caplog.text


def test_a_run_that_is_launched_later_says_when(admin_client):
    times = {"eta_0": "2036-01-02", "eta_1": "03:04:05"}
    response = admin_client.post(launch_page("picky"), {"param-year": "2026", **times})
    page = admin_client.get(response.url).content.decode()
    assert "“picky” will be launched at 01/02/2036 3:04 a.m.; until then it is a draft." in page
    assert "<dt>Due</dt>" in page


def test_bad_values_are_shown_in_place_and_what_was_typed_stays(admin_client, admin_user):
    bad = {
        "param-number": "x",
        "param-numbers": "1,y",
        "param-colour": "BLUE",
        "param-user": "999",
        "param-day": "soon",
    }
    response = admin_client.post(launch_page("everything"), {**posted(admin_user), **bad})
    text = response.content.decode()
    assert response.status_code == 200
    assert set(response.context["errors"]) == set(bad)
    assert "item 2: &#x27;y&#x27; is not a whole number" in text
    assert 'value="1,y"' in text
    assert 'value="hello"' in text
    assert not TreeRun.objects.exists()


def test_an_error_of_the_definition_is_shown_and_nothing_it_wrote_stays(admin_client):
    response = admin_client.post(launch_page("picky"), {"param-year": "1999"})
    assert response.status_code == 200
    assert "RuntimeError: no &lt;i&gt;computers&lt;/i&gt;" in response.content.decode()
    assert not TreeRun.objects.exists()
    assert not LogEntry.objects.exists()


def test_a_launch_needs_the_token_of_its_form(admin_user):
    client = Client(enforce_csrf_checks=True)
    client.force_login(admin_user)
    assert "csrfmiddlewaretoken" in client.get(launch_page("picky")).content.decode()
    assert client.post(launch_page("picky"), {"param-year": "2026"}).status_code == 403
    assert not TreeRun.objects.exists()


def test_the_definitions_are_listed_escaped_and_without_any_it_says_what_to_do(admin_client, definitions):
    text = shown(admin_client, LAUNCH)
    assert "Take &lt;b&gt;every&lt;/b&gt; kind of parameter." in text
    assert "year: int = 2026" in text
    assert "Take &lt;b&gt;every" in shown(admin_client, launch_page("everything"))
    definitions._definitions.clear()
    assert "@register_tree" in shown(admin_client, LAUNCH)


def rows_page(parameter):
    return reverse("admin:django_tasktree_treerun_launch_rows", args=["everything", parameter])


def test_rows_of_a_large_table_are_looked_up(admin_client, admin_user, monkeypatch, definitions):
    bertha = User.objects.create_user("bertha")
    assert "bertha</option>" in shown(admin_client, launch_page("everything"))
    monkeypatch.setattr("django_tasktree.admin.launch_fields._MOST_ROWS", 0)
    form = shown(admin_client, launch_page("everything"))
    box = re.search(r'<select name="param-user"(.*?)</select>', form, re.DOTALL)[1]
    assert f'data-ajax--url="{rows_page("user")}"' in box
    assert "bertha" not in box
    found = admin_client.get(rows_page("user") + "?term=bert").json()
    assert found == {"results": [{"id": str(bertha.pk), "text": "bertha"}], "pagination": {"more": False}}
    # What was chosen stays in a form that is shown again.
    again = admin_client.post(launch_page("everything"), {**posted(admin_user), "key": "k" * 300}).content.decode()
    assert f'<option value="{admin_user.pk}" selected>' in again
    assert admin_client.post(launch_page("everything"), posted(admin_user)).status_code == 302


def test_rows_that_can_not_be_looked_up_are_named_by_key(admin_user, staff, monkeypatch, definitions):
    monkeypatch.setattr("django_tasktree.admin.launch_fields._MOST_ROWS", 0)
    client = staff("launch_treerun")
    assert '<input type="text" name="param-user"' in shown(client, launch_page("everything"))
    assert client.get(rows_page("user")).status_code == 404
    assert client.post(launch_page("everything"), posted(admin_user)).status_code == 302


@pytest.mark.parametrize("parameter", ["year", "nothing"])
def test_only_rows_are_looked_up(admin_client, parameter, definitions):
    assert admin_client.get(rows_page(parameter)).status_code == 404


def test_rows_are_not_for_those_who_may_not_launch(staff, definitions):
    assert staff("view_user").get(rows_page("user")).status_code == 403


def test_runs_are_found_by_all_that_names_them(admin_client):
    one, _other = launched([1], name="one"), launched([2], name="other")
    node = NodeRun.objects.get(run_id=one.id)
    NodeRun.objects.filter(id=node.id).update(task_id=uuid4())
    node.refresh_from_db()
    for term in ("one", str(one.id), str(node.id), str(node.task_id), node.task_id.hex):
        found = admin_client.get(RUNS, {"q": term}).context["cl"].result_list
        assert [run.name for run in found] == ["one"], term
    assert not admin_client.get(RUNS, {"q": str(uuid4())}).context["cl"].result_list
