"""The admin steers: it asks, does, logs, and refuses those who may not."""

import json

import pytest
from django.contrib.admin.models import CHANGE, DELETION, LogEntry
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from django_tasktree import TaskTree
from django_tasktree.admin import control, copy_and_delete
from django_tasktree.models import NodeRun, TreeRun
from django_tasktree.verbs import VERBS
from tests.integration.admin_steering import NODES, RUNS, ask, bulk, change_page, control_page, launch, told
from tests.sample.tasks import echo, fail

pytestmark = pytest.mark.django_db(transaction=True)


def test_it_previews_asks_does_and_logs(world, admin_client, admin_user):
    result = launch(task=fail)
    world.deliver_all("w")
    page = control_page(result, "retry")
    asked = admin_client.get(page).content.decode()
    assert "2 nodes run again" in asked
    assert result.state == "FAILURE"
    response = ask(admin_client, page)
    assert response.redirect_chain == [(change_page(result), 302)]
    assert told(response) == ["Retry: 1 run; 2 nodes run again."]
    assert result.state == "STARTED"
    assert (result.history[-1].user, result.history[-1].action) == (admin_user, "retry")
    entry = LogEntry.objects.get()
    assert (entry.user, entry.action_flag, entry.object_id) == (admin_user, CHANGE, str(result.id))
    assert "admin" in response.content.decode().partition('id="history"')[2]


def test_each_verb_of_a_run(world, admin_client, verbs_in_turn):
    result = launch(draft=True)
    for verb, state in verbs_in_turn:
        offered = admin_client.get(change_page(result)).content.decode()
        assert control_page(result, verb) in offered, verb
        ask(admin_client, control_page(result, verb))
        assert result.state == state, verb


def test_each_verb_of_a_node(world, admin_client):
    result = launch(task=fail)
    top, below = NodeRun.objects.filter(run_id=result.id).order_by("id")

    def verb(node, name, **data):
        page = reverse("admin:django_tasktree_noderun_control", args=[node.id, name])
        assert page in admin_client.get(change_page(node, "noderun")).content.decode(), name
        response = ask(admin_client, page, **data)
        assert response.redirect_chain == [(change_page(node, "noderun"), 302)]
        node.refresh_from_db()
        return node

    assert verb(below, "pause").hold == "paused"
    assert verb(below, "resume").hold == ""
    world.deliver_all("w")
    assert verb(top, "retry").state == "QUEUED"
    world.deliver_all("w")
    assert json.loads(verb(top, "skip", result='{"some": [1]}').result) == {"some": [1]}
    world.deliver_all("w")
    below.refresh_from_db()
    assert verb(below, "rerun").state == "QUEUED"
    assert verb(below, "revoke", terminate="on").state == "REVOKED"


def test_a_result_that_is_not_json_is_told_in_place(world, admin_client):
    result = launch()
    node = result.children[0]
    page = reverse("admin:django_tasktree_noderun_control", args=[node.id, "skip"])
    response = admin_client.post(page, {"confirmed": "yes", "result": "{not json"})
    assert response.status_code == 200
    assert response.context["page"].form.errors["result"]
    assert node.state == "QUEUED"


def test_what_does_not_fit_offers_nothing(world, admin_client):
    result = launch()
    page = admin_client.get(control_page(result, "resume")).content.decode()
    assert "only a paused run can be resumed" in page
    assert 'type="submit" class="default"' not in page
    response = ask(admin_client, control_page(result, "resume"))
    assert told(response) == ["Run “tree” is started: only a paused run can be resumed"]
    assert not LogEntry.objects.exists()


def test_many_at_once(world, admin_client):
    paused, *_ = results = [launch(str(number)) for number in range(3)]
    paused.pause()
    asked = bulk(admin_client, "revoke", results)
    text = asked.content.decode()
    assert "6 nodes never start" in text
    assert [result.state for result in results] == ["PAUSED", "STARTED", "STARTED"]
    assert all(f'value="{result.id}"' in text for result in results)
    response = bulk(admin_client, "pause", results, confirmed="yes")
    assert [result.state for result in results] == ["PAUSED"] * 3
    refused, done = told(response)
    assert "only a run that is going can be paused" in refused
    assert done == "Pause: 2 runs."
    bulk(admin_client, "revoke", results, confirmed="yes")
    assert {result.state for result in results} == {"REVOKED"}


def test_many_nodes_at_once(world, admin_client):
    result = launch(task=fail)
    world.deliver_all("w")
    top = result.children[0]
    data = {"action": "skip_chosen", "_selected_action": [str(top.id)]}
    assert "succeeded" in admin_client.post(NODES, data).content.decode()
    admin_client.post(NODES, {**data, "confirmed": "yes", "result": "7"})
    assert top.get() == 7


def test_what_has_failed_can_be_retried_while_the_run_goes_on(world, admin_client):
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
    skip = reverse("admin:django_tasktree_noderun_control", args=[result[waiting].id, "skip"])
    assert skip in admin_client.get(change_page(result[waiting], "noderun")).content.decode()


def test_pages_cost_as_much_for_large_runs_as_for_small_ones(world, admin_client):
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


# Again, and away


def test_a_run_is_launched_again(world, admin_client, admin_user):
    result = launch(task=fail)
    world.deliver_all("w")
    page = control_page(result, "copy")
    assert "2 nodes" in admin_client.get(page).content.decode()
    response = ask(admin_client, page)
    copied = TreeRun.objects.get(copy_of=result.id)
    assert response.redirect_chain == [(change_page(copied), 302)]
    assert (copied.launched_by, copied.state, result.state) == (admin_user, "STARTED", "FAILURE")


def test_a_run_of_a_definition_is_launched_again_by_its_form(world, admin_client, tmp_path):
    from django_tasktree.launching import launch_definition

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


def test_a_run_is_deleted_with_all_that_belongs_to_it(world, admin_client, admin_user):
    result, other = launch("gone"), launch("stays")
    offered = admin_client.get(change_page(result)).content.decode()
    assert control_page(result, "delete") not in offered
    refused = ask(admin_client, control_page(result, "delete"))
    assert told(refused) == [f"Run “{result.run.name}” has not ended: revoke it first"]
    result.revoke()
    assert control_page(result, "delete") in admin_client.get(change_page(result)).content.decode()
    response = ask(admin_client, control_page(result, "delete"))
    assert response.redirect_chain == [(RUNS, 302)]
    assert list(TreeRun.objects.values_list("id", flat=True)) == [other.id]
    assert NodeRun.objects.count() == 2
    entry = LogEntry.objects.get(action_flag=DELETION)
    assert (entry.object_repr, entry.user) == ("gone", admin_user)


def test_drafts_are_deleted_too(world, admin_client):
    result = launch(draft=True)
    bulk(admin_client, "delete", [result], confirmed="yes")
    assert not TreeRun.objects.exists()


def test_a_large_run_is_deleted_by_a_worker(world, admin_client, monkeypatch):
    monkeypatch.setattr(copy_and_delete, "AT_ONCE", 1)
    result = launch()
    result.revoke()
    world.receive_all()
    response = ask(admin_client, control_page(result, "delete"))
    assert "a worker deletes it" in told(response)[0]
    assert TreeRun.objects.filter(id=result.id).exists()
    world.deliver_all("w")
    assert not NodeRun.objects.exists()
    assert not TreeRun.objects.exists()


# Permissions


@pytest.mark.parametrize("verb", [*VERBS, "copy", "delete"])
def test_each_verb_needs_its_permission(world, staff, verb):
    client = staff("view_treerun", "view_noderun")
    result = launch()
    node = result.children[0]
    kinds = {"launch": [result], "copy": [result], "delete": [result], "rerun": [node], "skip": [node]}
    for handle in kinds.get(verb, [result, node]):
        kind = "treerun" if handle is result else "noderun"
        page = reverse(f"admin:django_tasktree_{kind}_control", args=[handle.id, verb])
        assert client.get(page).status_code == 403
        assert client.post(page, {"confirmed": "yes"}).status_code == 403
        assert page not in client.get(change_page(handle, kind)).content.decode()
    assert 'name="action"' not in client.get(RUNS).content.decode()
    assert (result.state, TreeRun.objects.count()) == ("STARTED", 1)


@pytest.mark.parametrize(
    ("permission", "verbs"),
    [
        ("control_treerun", {"pause", "revoke"}),
        ("launch_treerun", {"copy"}),
        ("delete_treerun", set()),
    ],
)
def test_a_permission_shows_its_buttons_alone(world, staff, permission, verbs):
    client = staff("view_treerun", permission)
    result = launch()
    text = client.get(change_page(result)).content.decode()
    every = [*VERBS, "copy", "delete"]
    assert {verb for verb in every if control_page(result, verb) in text} == verbs


@pytest.mark.parametrize(
    ("permissions", "status"),
    [((), 403), (("view_treerun",), 403), (("launch_treerun",), 403), (("view_treerun", "launch_treerun"), 302)],
)
def test_whoever_may_not_launch_learns_no_definition(world, staff, tmp_path, permissions, status):
    from django_tasktree.launching import launch_definition

    result = launch_definition("inventory", {"path": str(tmp_path)})
    response = staff(*permissions).get(control_page(result, "copy"))
    assert response.status_code == status
    assert ("inventory" in response.headers.get("Location", response.content.decode())) is (status == 302)


def test_what_may_not_be_seen_can_not_be_steered(world, staff):
    client = staff("control_treerun")
    result = launch()
    assert client.get(control_page(result, "pause")).status_code == 403
    assert ask(client, control_page(result, "pause")).status_code == 403
    assert result.state == "STARTED"


def test_objects_can_be_kept_from_a_user_by_djangos_hooks(world, admin_client, monkeypatch):
    mine, other = launch("mine"), launch("other")
    hook = "has_control_permission"
    monkeypatch.setattr(control.ControlPages, hook, lambda self, request, obj=None: obj is None or obj.name == "mine")
    assert admin_client.get(control_page(mine, "pause")).status_code == 200
    assert admin_client.get(control_page(other, "pause")).status_code == 403
    assert bulk(admin_client, "pause", [mine, other], confirmed="yes").status_code == 403
    assert {mine.state, other.state} == {"STARTED"}


def test_it_takes_a_post_with_a_token(world, admin_user):
    client = Client(enforce_csrf_checks=True)
    client.force_login(admin_user)
    result = launch()
    assert ask(client, control_page(result, "pause")).status_code == 403
    client.get(control_page(result, "pause"), {"confirmed": "yes"})
    assert result.state == "STARTED"


def test_wrong_addresses(world, admin_client):
    result = launch()
    for page in [
        control_page(result, "explode"),
        control_page(result, "skip"),
        reverse("admin:django_tasktree_treerun_control", args=[result.children[0].id, "pause"]),
    ]:
        assert admin_client.get(page).status_code == 404


def test_what_was_deleted_meanwhile_is_not_passed_over_in_silence(world, admin_client):
    runs = [launch(f"run {number}", draft=True) for number in range(3)]
    chosen = {"action": "launch_chosen", "index": "0", "_selected_action": [str(run.id) for run in runs]}
    TreeRun.objects.filter(id=runs[0].id).delete()
    asked = admin_client.post(RUNS, chosen)
    assert told(asked) == [
        "1 of those that were chosen does not exist any more, or does not match the filter any more."
    ]
    assert "It fits 2 of 2." in asked.content.decode()
    TreeRun.objects.filter(id=runs[1].id).delete()
    done = ask(admin_client, RUNS, **chosen)
    assert told(done) == [
        "2 of those that were chosen do not exist any more, or do not match the filter any more.",
        "Launch: 1 run.",
    ]
    TreeRun.objects.all().delete()
    nothing = admin_client.post(RUNS, chosen, follow=True)
    assert told(nothing) == ["3 of those that were chosen do not exist any more, or do not match the filter any more."]


def test_the_history_is_on_the_page_itself(world, admin_client):
    result = launch()
    for kind, row in (("treerun", result), ("noderun", result.children[0])):
        page = reverse(f"admin:django_tasktree_{kind}_history", args=[row.id])
        response = admin_client.get(page)
        assert (response.status_code, response["Location"]) == (302, f"{change_page(row, kind)}#history")
        assert "Nobody has asked for anything yet." in admin_client.get(change_page(row, kind)).content.decode()
