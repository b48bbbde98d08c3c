"""Actions on many runs or nodes in the admin are done by a worker, as a run of their own."""

import json

import pytest
from django.contrib.admin import site
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.urls import reverse

from django_tasktree import bulk as bulk_of
from django_tasktree.admin import TreeRunAdmin
from django_tasktree.admin.pages import control, copy_and_delete
from django_tasktree.models import NodeRun, TreeRun
from tests.integration.admin.control import ask, bulk, control_page, launch, messages_of
from tests.integration.admin.pages import NODES, RUNS, change_page
from tests.sample.tasks import fail

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("own_messages")]


def test_more_runs_than_a_page_can_show_are_handled_in_the_background(world, admin_client, admin_user, monkeypatch):
    monkeypatch.setattr(control, "MAX_ROWS", 2)
    results = [launch() for _ in range(3)]
    world.receive_all()
    asked = bulk(admin_client, "pause", results).content.decode()
    assert "Pause: 3 runs" in asked
    assert "A worker does this in the background" in asked
    assert all(f'value="{result.id}"' in asked for result in results)
    response = bulk(admin_client, "pause", results, confirmed="yes")
    run = TreeRun.objects.get(name="Pause: 3 runs")
    assert (run.launched_by, response.redirect_chain) == (admin_user, [(change_page(run), 302)])
    assert messages_of(response) == ["A worker does this in the background. This page shows the progress."]
    assert {result.state for result in results} == {"STARTED"}
    world.deliver_all("w")
    assert {result.state for result in results} == {"PAUSED"}
    assert {result.history[-1].user for result in results} == {admin_user}


def test_all_runs_that_a_filter_finds_are_handled_in_the_background(world, admin_client, monkeypatch):
    monkeypatch.setattr(control, "MAX_ROWS", 2)
    results = [launch() for _ in range(4)]
    results[0].pause()
    world.receive_all()
    data = {"action": "revoke_chosen", "_selected_action": [str(results[1].id)], "select_across": "1"}
    page = f"{RUNS}?state__exact=STARTED"
    asked = admin_client.post(page, {**data, "index": "0"}).content.decode()
    assert "Revoke: 3 runs" in asked
    assert 'name="select_across" value="1"' in asked
    assert 'name="terminate"' in asked
    admin_client.post(page, {**data, "confirmed": "yes", "terminate": "on"})
    world.deliver_all("w")
    assert [result.state for result in results] == ["PAUSED", *["REVOKED"] * 3]
    assert results[1].history[-1].note == "terminate"


@pytest.mark.parametrize("action", ["retry", "complete"])
def test_many_nodes_are_handled_in_the_background(world, admin_client, monkeypatch, action):
    monkeypatch.setattr(control, "MAX_ROWS", 2)
    results = [launch(task=fail) for _ in range(3)]
    world.deliver_all("w")
    top = results[0].children[0]
    data = {"action": f"{action}_chosen", "_selected_action": [str(top.id)], "select_across": "1"}
    page = f"{NODES}?state__exact=FAILURE"
    admin_client.post(page, {**data, "confirmed": "yes", "result": "{"})
    assert not TreeRun.objects.filter(name__contains="3 nodes").exists() or action == "retry"
    admin_client.post(page, {**data, "confirmed": "yes", "result": "7"})
    world.deliver_all("w")
    assert [entry.action for result in results for entry in result.history][:3] == [action] * 3


def test_an_action_on_a_large_run_is_done_by_a_worker(world, admin_client, monkeypatch):
    monkeypatch.setattr(control, "MAX_NODES_AT_ONCE", 1)
    result = launch(task=fail)
    world.deliver_all("w")
    page = control_page(result, "retry")
    asked = admin_client.get(page).content.decode()
    assert "2 nodes run again" in asked
    assert "A worker does this in the background" in asked
    response = ask(admin_client, page)
    assert result.state == "FAILURE"
    run = TreeRun.objects.get(name="Retry: 1 run")
    assert response.redirect_chain == [(change_page(run), 302)]
    (message,) = world.receive_all()
    world.deliver(message, "w")
    assert result.state == "STARTED"


def test_revoking_does_not_wait_for_a_worker(world, admin_client, monkeypatch):
    monkeypatch.setattr(control, "MAX_NODES_AT_ONCE", 1)
    result = launch()
    assert (
        "A worker does this in the background" not in admin_client.get(control_page(result, "revoke")).content.decode()
    )
    ask(admin_client, control_page(result, "revoke"))
    assert result.state == "REVOKED"


def test_an_action_in_the_background_needs_permission_for_each_row(world, admin_client, monkeypatch):
    monkeypatch.setattr(control, "MAX_ROWS", 2)
    results = [launch(name) for name in "abc"]

    def may_control(self, request, obj=None):
        return obj is None or obj.name != "b"

    monkeypatch.setattr(TreeRunAdmin, "has_control_permission", may_control)
    assert bulk(admin_client, "pause", results, confirmed="yes").status_code == 403
    assert TreeRun.objects.count() == 3
    assert bulk(admin_client, "pause", [results[0], results[2]], confirmed="yes").status_code == 200


def test_runs_launched_after_the_permission_check_are_left_out(world, admin_client, monkeypatch):
    monkeypatch.setattr(control, "MAX_ROWS", 2)
    results = [launch() for _ in range(3)]
    later = []

    def may_control(self, request, obj=None):
        if obj is not None and not later:
            later.append(launch("later"))
        return obj is None or obj.name != "later"

    monkeypatch.setattr(TreeRunAdmin, "has_control_permission", may_control)
    bulk(admin_client, "pause", results[:1], select_across="1", confirmed="yes")
    world.deliver_all("w")
    assert {result.state for result in results} == {"PAUSED"}
    assert later[0].history == []


@pytest.mark.parametrize(
    "result", [json.dumps("x" * 1_100_000), json.dumps({"__type__": "nonsense", "__value__": 1})], ids=["large", "odd"]
)
def test_a_result_that_can_not_be_stored_is_reported(world, admin_client, monkeypatch, result):
    monkeypatch.setattr(control, "MAX_ROWS", 2)
    for _ in range(3):
        launch(task=fail)
    world.deliver_all("w")
    ids = [str(key) for key in NodeRun.objects.filter(state="FAILURE").values_list("id", flat=True)]
    data = {"action": "complete_chosen", "_selected_action": ids, "confirmed": "yes", "result": result}
    response = admin_client.post(NODES, data, follow=True)
    assert response.status_code == 200
    assert len(messages_of(response)) == 1
    assert TreeRun.objects.count() == 3


def test_the_log_names_the_user_of_an_action_in_the_background(world, admin_client, admin_user, monkeypatch):
    monkeypatch.setattr(control, "MAX_ROWS", 2)
    results = [launch() for _ in range(3)]
    for result in results:
        result.revoke()
    bulk(admin_client, "delete", results, confirmed="yes")
    entry = LogEntry.objects.get()
    assert (entry.user, entry.object_repr, entry.change_message) == (admin_user, "Delete: 3 runs", "Delete: 3 runs.")
    world.receive_all()


@pytest.mark.parametrize(
    ("action", "permission", "state"),
    [
        ("retry", "control_treerun", "REVOKED"),
        ("resume", "control_treerun", "PAUSED"),
        ("copy", "launch_treerun", "REVOKED"),
    ],
)
def test_controlling_a_run_that_deletes_others_needs_permission_to_delete(
    world, staff, admin_user, action, permission, state
):
    victims = [launch("victim") for _ in range(3)]
    for victim in victims:
        victim.revoke()
    result = bulk_of(TreeRun.objects.filter(name="victim")).in_background("delete", by=admin_user)
    result.pause() if state == "PAUSED" else result.revoke()
    world.receive_all()
    client = staff("view_treerun", "view_noderun", "compose_treerun", permission)
    page = client.get(change_page(result.run)).content.decode()
    assert f"/control/{action}/" not in page
    assert "compose/?from=" not in page
    assert ask(client, control_page(result, action)).status_code == 403
    node = result.children[0]
    page = reverse("admin:django_tasktree_noderun_control", args=[node.id, "retry"])
    assert ask(client, page).status_code == 403
    world.deliver_all("w")
    assert TreeRun.objects.filter(name="victim").count() == 3


def test_without_an_admin_of_runs_the_list_of_nodes_is_shown(world, admin_client, monkeypatch):
    monkeypatch.setattr(control, "MAX_ROWS", 2)
    results = [launch(task=fail) for _ in range(3)]
    world.deliver_all("w")
    monkeypatch.delitem(site._registry, TreeRun)
    ids = [str(result.children[0].id) for result in results]
    data = {"action": "retry_chosen", "_selected_action": ids, "confirmed": "yes"}
    assert admin_client.post(NODES, data)["Location"] == NODES


def test_deleting_needs_permission_to_delete_related_objects(world, staff, monkeypatch):
    monkeypatch.setattr(control, "MAX_ROWS", 2)
    results = [launch() for _ in range(3)]
    for result in results:
        result.revoke()
    client = staff("view_treerun", "delete_treerun")
    monkeypatch.setattr(copy_and_delete, "models_that_go_with_runs", lambda: {LogEntry, User})
    refused = bulk(client, "delete", results, confirmed="yes")
    assert "permission to delete related objects" in messages_of(refused)[0]
    assert TreeRun.objects.count() == 3
