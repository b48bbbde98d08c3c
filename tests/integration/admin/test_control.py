"""Actions in the admin: preview, confirmation, effect, log and permissions."""

import json

import pytest
from django.contrib.admin.models import CHANGE, DELETION, LogEntry
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from django_tasktree import TaskTree
from django_tasktree.admin import TreeRunAdmin
from django_tasktree.admin.pages import control
from django_tasktree.control.actions import ACTIONS, node_actions, run_actions
from django_tasktree.models import HistoryEntry, NodeRun, TreeRun
from tests.integration.admin.control import ask, bulk, control_page, launch, messages_of
from tests.integration.admin.pages import NODES, RUNS, change_page
from tests.sample.tasks import echo, fail

pytestmark = pytest.mark.django_db(transaction=True)


def test_an_action_is_previewed_confirmed_and_logged(world, admin_client, admin_user):
    result = launch(task=fail)
    world.deliver_all("w")
    page = control_page(result, "retry")
    asked = admin_client.get(page).content.decode()
    assert "2 nodes run again" in asked
    assert result.state == "FAILURE"
    response = ask(admin_client, page)
    assert response.redirect_chain == [(change_page(result), 302)]
    assert messages_of(response) == ["Retry: tree; 2 nodes run again."]
    assert result.state == "STARTED"
    assert (result.history[-1].user, result.history[-1].action) == (admin_user, "retry")
    entry = LogEntry.objects.get()
    assert (entry.user, entry.action_flag, entry.object_id) == (admin_user, CHANGE, str(result.id))
    assert "admin" in response.content.decode().partition('id="history"')[2]


def test_each_action_of_a_run(world, admin_client, actions_in_sequence):
    result = launch(draft=True)
    for action, state in actions_in_sequence:
        offered = admin_client.get(change_page(result)).content.decode()
        assert control_page(result, action) in offered, action
        ask(admin_client, control_page(result, action))
        assert result.state == state, action


def test_each_action_of_a_node(world, admin_client):
    result = launch(task=fail)
    top, below = NodeRun.objects.filter(run_id=result.id).order_by("id")

    def act(node, name, **data):
        page = reverse("admin:django_tasktree_noderun_control", args=[node.id, name])
        assert page in admin_client.get(change_page(node, "noderun")).content.decode(), name
        response = ask(admin_client, page, **data)
        assert response.redirect_chain == [(change_page(node, "noderun"), 302)]
        node.refresh_from_db()
        return node

    assert act(below, "pause").hold == "paused"
    assert act(below, "resume").hold == ""
    world.deliver_all("w")
    assert act(top, "retry").state == "QUEUED"
    world.deliver_all("w")
    assert json.loads(act(top, "complete", result='{"some": [1]}').result) == {"some": [1]}
    world.deliver_all("w")
    below.refresh_from_db()
    assert act(below, "rerun").state == "QUEUED"
    assert act(below, "revoke", terminate="on").state == "REVOKED"


def test_a_result_that_is_not_json_is_reported_at_its_field(world, admin_client):
    result = launch()
    node = result.children[0]
    page = reverse("admin:django_tasktree_noderun_control", args=[node.id, "complete"])
    response = admin_client.post(page, {"confirmed": "yes", "result": "{not json"})
    assert response.status_code == 200
    assert response.context["page"].form.errors["result"]
    assert node.state == "QUEUED"


def test_an_impossible_action_can_not_be_confirmed(world, admin_client):
    result = launch()
    page = admin_client.get(control_page(result, "resume")).content.decode()
    assert "only a paused run can be resumed" in page
    assert 'type="submit" class="default"' not in page
    response = ask(admin_client, control_page(result, "resume"))
    assert messages_of(response) == ["Run “tree” is started: only a paused run can be resumed"]
    assert not LogEntry.objects.exists()


def test_an_action_on_several_runs(world, admin_client):
    paused, *_ = results = [launch(str(number)) for number in range(3)]
    paused.pause()
    asked = bulk(admin_client, "revoke", results)
    text = asked.content.decode()
    assert "6 nodes are revoked" in text
    assert [result.state for result in results] == ["PAUSED", "STARTED", "STARTED"]
    assert all(f'value="{result.id}"' in text for result in results)
    response = bulk(admin_client, "pause", results, confirmed="yes")
    assert [result.state for result in results] == ["PAUSED"] * 3
    refused, done = messages_of(response)
    assert "only a started run can be paused" in refused
    assert done == "Pause: 2 runs."
    bulk(admin_client, "revoke", results, confirmed="yes")
    assert {result.state for result in results} == {"REVOKED"}


def test_an_action_on_nodes_of_the_list(world, admin_client):
    result = launch(task=fail)
    world.deliver_all("w")
    top = result.children[0]
    data = {"action": "complete_chosen", "_selected_action": [str(top.id)]}
    assert "succeeded" in admin_client.post(NODES, data).content.decode()
    admin_client.post(NODES, {**data, "confirmed": "yes", "result": "7"})
    assert top.get() == 7


def test_a_failed_node_can_be_retried_while_the_run_continues(world, admin_client):
    tree = TaskTree(max_active=1)
    tree.add_task(fail, ["a"])
    tree.add_task(echo, ["b"])
    waiting = tree.add_task(echo, ["c"])
    result = tree.apply_async()
    assert control_page(result, "retry") not in admin_client.get(change_page(result)).content.decode()
    (message,) = world.receive_all()
    world.deliver(message, "w")
    assert result.state == "STARTED"
    assert control_page(result, "retry") in admin_client.get(change_page(result)).content.decode()
    skip = reverse("admin:django_tasktree_noderun_control", args=[result[waiting].id, "complete"])
    assert skip in admin_client.get(change_page(result[waiting], "noderun")).content.decode()


def test_query_count_does_not_depend_on_the_size_of_the_run(world, admin_client):
    def queries(width):
        tree = TaskTree()
        top = tree.add_task(echo)
        for _ in range(width):
            top.add_task(echo)
        page = control_page(tree.apply_async(), "revoke")
        admin_client.get(page)
        with CaptureQueriesContext(connection) as captured:
            assert admin_client.get(page).status_code == 200
        return len(captured)

    assert queries(3) == queries(400)


# Launch again, and delete


def test_a_run_is_launched_again(world, admin_client, admin_user):
    result = launch(task=fail)
    world.deliver_all("w")
    page = control_page(result, "copy")
    assert "2 nodes" in admin_client.get(page).content.decode()
    response = ask(admin_client, page)
    copied = TreeRun.objects.get(copy_of=result.id)
    assert response.redirect_chain == [(change_page(copied), 302)]
    assert (copied.launched_by, copied.state, result.state) == (admin_user, "STARTED", "FAILURE")


def test_a_run_of_a_definition_is_launched_again_with_its_form(world, admin_client, tmp_path):
    from django_tasktree.definitions.launch import launch_definition

    result = launch_definition("inventory", {"path": str(tmp_path), "hidden": True})
    response = admin_client.get(control_page(result, "copy"), follow=True)
    (page, _), *_rest = response.redirect_chain
    assert page.endswith(f"/launch/inventory/?again={result.id}")
    text = response.content.decode()
    assert f'value="{tmp_path}"' in text
    assert "checked" in text.partition('name="param-hidden"')[2].partition(">")[0]


def test_a_run_is_launched_later(world, admin_client, tmp_path):
    page = reverse("admin:django_tasktree_treerun_launch_definition", args=["inventory"])
    admin_client.post(page, {"param-path": str(tmp_path), "eta_0": "2999-01-01", "eta_1": "00:00"})
    run = TreeRun.objects.get()
    assert (run.state, run.eta.year) == ("DRAFT", 2999)


def test_a_run_is_deleted_with_its_nodes(world, admin_client, admin_user):
    result, other = launch("gone"), launch("stays")
    offered = admin_client.get(change_page(result)).content.decode()
    assert control_page(result, "delete") not in offered
    refused = ask(admin_client, control_page(result, "delete"))
    assert messages_of(refused) == [f"Run “{result.run.name}” has not ended: revoke it first"]
    result.revoke()
    assert control_page(result, "delete") in admin_client.get(change_page(result)).content.decode()
    response = ask(admin_client, control_page(result, "delete"))
    assert response.redirect_chain == [(RUNS, 302)]
    assert list(TreeRun.objects.values_list("id", flat=True)) == [other.id]
    assert NodeRun.objects.count() == 2
    entry = LogEntry.objects.get(action_flag=DELETION)
    assert (entry.object_repr, entry.user) == ("gone", admin_user)


def test_a_draft_can_be_deleted(world, admin_client):
    result = launch(draft=True)
    bulk(admin_client, "delete", [result], confirmed="yes")
    assert not TreeRun.objects.exists()


def test_a_large_run_is_deleted_by_a_worker(world, admin_client, monkeypatch):
    monkeypatch.setattr(control, "MAX_NODES_AT_ONCE", 1)
    result = launch()
    result.revoke()
    world.receive_all()
    asked = admin_client.get(control_page(result, "delete")).content.decode()
    assert "2 nodes are deleted" in asked
    assert "A worker does this in the background" in asked
    response = ask(admin_client, control_page(result, "delete"))
    (run,) = TreeRun.objects.exclude(id=result.id)
    assert response.redirect_chain == [(change_page(run), 302)]
    assert messages_of(response) == ["A worker does this in the background. This page shows the progress."]
    assert TreeRun.objects.filter(id=result.id).exists()
    world.deliver_all("w")
    assert list(TreeRun.objects.all()) == [run]
    assert set(NodeRun.objects.values_list("run", flat=True)) == {run.id}
    assert NodeRun.objects.get(run=run, is_gather=True).result is not None


# Permissions


@pytest.mark.parametrize("action", ACTIONS)
def test_each_action_needs_its_permission(world, staff, action):
    client = staff("view_treerun", "view_noderun")
    result = launch()
    node = result.children[0]
    for handle in [*([result] if action in run_actions() else []), *([node] if action in node_actions() else [])]:
        kind = "treerun" if handle is result else "noderun"
        page = reverse(f"admin:django_tasktree_{kind}_control", args=[handle.id, action])
        assert client.get(page).status_code == 403
        assert client.post(page, {"confirmed": "yes"}).status_code == 403
        assert page not in client.get(change_page(handle, kind)).content.decode()
    assert 'name="action"' not in client.get(RUNS).content.decode()
    assert (result.state, TreeRun.objects.count()) == ("STARTED", 1)


@pytest.mark.parametrize(
    ("permission", "actions"),
    [
        ("control_treerun", {"pause", "revoke"}),
        ("launch_treerun", {"copy"}),
        ("delete_treerun", set()),
    ],
)
def test_a_permission_shows_only_its_own_buttons(world, staff, permission, actions):
    client = staff("view_treerun", permission)
    result = launch()
    text = client.get(change_page(result)).content.decode()
    assert {action for action in ACTIONS if control_page(result, action) in text} == actions


@pytest.mark.parametrize(
    ("permissions", "status"),
    [((), 403), (("view_treerun",), 403), (("launch_treerun",), 403), (("view_treerun", "launch_treerun"), 302)],
)
def test_the_definition_of_a_run_is_not_revealed_without_permission_to_launch(
    world, staff, tmp_path, permissions, status
):
    from django_tasktree.definitions.launch import launch_definition

    result = launch_definition("inventory", {"path": str(tmp_path)})
    response = staff(*permissions).get(control_page(result, "copy"))
    assert response.status_code == status
    assert ("inventory" in response.headers.get("Location", response.content.decode())) is (status == 302)


def test_an_action_needs_permission_to_view_the_run(world, staff):
    client = staff("control_treerun")
    result = launch()
    assert client.get(control_page(result, "pause")).status_code == 403
    assert ask(client, control_page(result, "pause")).status_code == 403
    assert result.state == "STARTED"


def test_objects_can_be_kept_from_a_user_by_djangos_hooks(world, admin_client, monkeypatch):
    mine, other = launch("mine"), launch("other")
    hook = "has_control_permission"
    monkeypatch.setattr(TreeRunAdmin, hook, lambda self, request, obj=None: obj is None or obj.name == "mine")
    assert admin_client.get(control_page(mine, "pause")).status_code == 200
    assert admin_client.get(control_page(other, "pause")).status_code == 403
    assert bulk(admin_client, "pause", [mine, other], confirmed="yes").status_code == 403
    assert {mine.state, other.state} == {"STARTED"}


def test_an_action_needs_a_post_request_with_a_csrf_token(world, admin_user):
    client = Client(enforce_csrf_checks=True)
    client.force_login(admin_user)
    result = launch()
    assert ask(client, control_page(result, "pause")).status_code == 403
    client.get(control_page(result, "pause"), {"confirmed": "yes"})
    assert result.state == "STARTED"


def test_unknown_actions_and_runs_are_not_found(world, admin_client):
    result = launch()
    for page in [
        control_page(result, "explode"),
        control_page(result, "complete"),
        reverse("admin:django_tasktree_treerun_control", args=[result.children[0].id, "pause"]),
    ]:
        assert admin_client.get(page).status_code == 404


def test_rows_that_were_deleted_in_the_meantime_are_reported(world, admin_client):
    runs = [launch(f"run {number}", draft=True) for number in range(3)]
    chosen = {"action": "launch_chosen", "index": "0", "_selected_action": [str(run.id) for run in runs]}
    TreeRun.objects.filter(id=runs[0].id).delete()
    asked = admin_client.post(RUNS, chosen)
    assert messages_of(asked) == ["1 of the selected rows no longer exists, or no longer matches the filter."]
    assert "Possible for 2 of 2." in asked.content.decode()
    TreeRun.objects.filter(id=runs[1].id).delete()
    done = ask(admin_client, RUNS, **chosen)
    assert messages_of(done) == [
        "2 of the selected rows no longer exist, or no longer match the filter.",
        "Launch: run 2.",
    ]
    TreeRun.objects.all().delete()
    nothing = admin_client.post(RUNS, chosen, follow=True)
    assert messages_of(nothing) == ["3 of the selected rows no longer exist, or no longer match the filter."]


def test_the_history_names_nodes_only_to_users_who_may_view_them(world, staff, admin_client):
    result = launch(task=fail)
    node = result.children[0]
    node.revoke()
    HistoryEntry.objects.filter(node_id=node.id).update(cause=node.id)
    live = reverse("admin:django_tasktree_treerun_live", args=[result.id])
    for client, seen in ((admin_client, True), (staff("view_treerun"), False)):
        page = client.get(change_page(result)).content.decode()
        for text in (page.partition('id="history"')[2], client.get(live).json()["history"]):
            assert "Revoke" in text
            assert (str(node.id) in text, "fail" in text, "in the background" in text) == (seen, seen, seen)


def test_the_history_page_redirects_to_the_history_on_the_change_page(world, admin_client):
    result = launch()
    for kind, row in (("treerun", result), ("noderun", result.children[0])):
        page = reverse(f"admin:django_tasktree_{kind}_history", args=[row.id])
        response = admin_client.get(page)
        assert (response.status_code, response["Location"]) == (302, f"{change_page(row, kind)}#history")
        assert "No actions so far." in admin_client.get(change_page(row, kind)).content.decode()
