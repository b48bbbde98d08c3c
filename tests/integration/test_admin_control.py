"""The admin steers: it asks, does, logs, and refuses those who may not."""

import json

import pytest
from django.contrib.admin import site
from django.contrib.admin.models import CHANGE, DELETION, LogEntry
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from django_tasktree import TaskTree
from django_tasktree import bulk as bulk_of
from django_tasktree.admin import control, copy_and_delete
from django_tasktree.models import NodeRun, TreeRun
from django_tasktree.verbs import VERBS
from tests.sample.tasks import echo, fail

pytestmark = pytest.mark.django_db(transaction=True)

RUNS = reverse("admin:django_tasktree_treerun_changelist")
NODES = reverse("admin:django_tasktree_noderun_changelist")


def launch(name="tree", task=echo, **options):
    tree = TaskTree(name)
    tree.add_task(task, ["a"]).add_task(echo, ["b"])
    return tree.apply_async(**options)


def control_page(result, verb):
    return reverse("admin:django_tasktree_treerun_control", args=[result.id, verb])


def change_page(row, kind="treerun"):
    return reverse(f"admin:django_tasktree_{kind}_change", args=[row.id])


def ask(client, page, **data):
    return client.post(page, {"confirmed": "yes", **data}, follow=True)


def told(response):
    return [str(message) for message in response.context["messages"]]


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


def bulk(client, verb, results, **data):
    ids = [str(result.id) for result in results]
    action = "delete_selected" if verb == "delete" else f"{verb}_chosen"
    return client.post(RUNS, {"action": action, "_selected_action": ids, **data}, follow=True)


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


# In the background


def test_more_than_the_page_can_show_are_steered_in_the_background(world, admin_client, admin_user, monkeypatch):
    monkeypatch.setattr(control, "MOST", 2)
    results = [launch() for _ in range(3)]
    world.receive_all()
    asked = bulk(admin_client, "pause", results).content.decode()
    assert "Pause: 3 runs" in asked
    assert "A worker does this in the background" in asked
    assert all(f'value="{result.id}"' in asked for result in results)
    response = bulk(admin_client, "pause", results, confirmed="yes")
    run = TreeRun.objects.get(name="Pause: 3 runs")
    assert (run.launched_by, response.redirect_chain) == (admin_user, [(change_page(run), 302)])
    assert told(response) == ["A worker does this in the background; this page shows its progress."]
    assert {result.state for result in results} == {"STARTED"}
    world.deliver_all("w")
    assert {result.state for result in results} == {"PAUSED"}
    assert {result.history[-1].user for result in results} == {admin_user}


def test_all_that_a_filter_finds_are_steered_in_the_background(world, admin_client, monkeypatch):
    monkeypatch.setattr(control, "MOST", 2)
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


@pytest.mark.parametrize("verb", ["retry", "skip"])
def test_many_nodes_are_steered_in_the_background(world, admin_client, monkeypatch, verb):
    monkeypatch.setattr(control, "MOST", 2)
    results = [launch(task=fail) for _ in range(3)]
    world.deliver_all("w")
    top = results[0].children[0]
    data = {"action": f"{verb}_chosen", "_selected_action": [str(top.id)], "select_across": "1"}
    page = f"{NODES}?state__exact=FAILURE"
    admin_client.post(page, {**data, "confirmed": "yes", "result": "{"})
    assert not TreeRun.objects.filter(name__contains="3 nodes").exists() or verb == "retry"
    admin_client.post(page, {**data, "confirmed": "yes", "result": "7"})
    world.deliver_all("w")
    assert [entry.action for result in results for entry in result.history][:3] == [verb] * 3


def test_what_concerns_many_nodes_is_done_by_a_worker(world, admin_client, monkeypatch):
    monkeypatch.setattr(control, "AT_ONCE", 1)
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


def test_what_stops_a_run_never_waits_for_a_worker(world, admin_client, monkeypatch):
    monkeypatch.setattr(control, "AT_ONCE", 1)
    result = launch()
    assert (
        "A worker does this in the background" not in admin_client.get(control_page(result, "revoke")).content.decode()
    )
    ask(admin_client, control_page(result, "revoke"))
    assert result.state == "REVOKED"


def test_each_row_needs_its_permission_in_the_background_too(world, admin_client, monkeypatch):
    monkeypatch.setattr(control, "MOST", 2)
    results = [launch(name) for name in "abc"]

    def may_control(self, request, obj=None):
        return obj is None or obj.name != "b"

    monkeypatch.setattr(control.ControlPages, "has_control_permission", may_control)
    assert bulk(admin_client, "pause", results, confirmed="yes").status_code == 403
    assert TreeRun.objects.count() == 3
    assert bulk(admin_client, "pause", [results[0], results[2]], confirmed="yes").status_code == 200


def test_what_comes_after_the_check_is_not_steered(world, admin_client, monkeypatch):
    monkeypatch.setattr(control, "MOST", 2)
    results = [launch() for _ in range(3)]
    later = []

    def may_control(self, request, obj=None):
        if obj is not None and not later:
            later.append(launch("later"))
        return obj is None or obj.name != "later"

    monkeypatch.setattr(control.ControlPages, "has_control_permission", may_control)
    bulk(admin_client, "pause", results[:1], select_across="1", confirmed="yes")
    world.deliver_all("w")
    assert {result.state for result in results} == {"PAUSED"}
    assert later[0].history == []


@pytest.mark.parametrize(
    "result", [json.dumps("x" * 1_100_000), json.dumps({"__type__": "nonsense", "__value__": 1})], ids=["large", "odd"]
)
def test_what_can_not_be_stored_is_told(world, admin_client, monkeypatch, result):
    monkeypatch.setattr(control, "MOST", 2)
    for _ in range(3):
        launch(task=fail)
    world.deliver_all("w")
    ids = [str(key) for key in NodeRun.objects.filter(state="FAILURE").values_list("id", flat=True)]
    data = {"action": "skip_chosen", "_selected_action": ids, "confirmed": "yes", "result": result}
    response = admin_client.post(NODES, data, follow=True)
    assert response.status_code == 200
    assert len(told(response)) == 1
    assert TreeRun.objects.count() == 3


def test_who_steered_in_the_background_is_in_the_log(world, admin_client, admin_user, monkeypatch):
    monkeypatch.setattr(control, "MOST", 2)
    results = [launch() for _ in range(3)]
    for result in results:
        result.revoke()
    bulk(admin_client, "delete", results, confirmed="yes")
    entry = LogEntry.objects.get()
    assert (entry.user, entry.object_repr, entry.change_message) == (admin_user, "Delete: 3 runs", "Delete: 3 runs.")
    world.receive_all()


@pytest.mark.parametrize(
    ("verb", "may", "state"),
    [
        ("retry", "control_treerun", "REVOKED"),
        ("resume", "control_treerun", "PAUSED"),
        ("copy", "launch_treerun", "REVOKED"),
    ],
)
def test_a_run_that_deletes_others_is_steered_by_those_alone_who_may_delete(world, staff, admin_user, verb, may, state):
    victims = [launch("victim") for _ in range(3)]
    for victim in victims:
        victim.revoke()
    result = bulk_of(TreeRun.objects.filter(name="victim")).in_background("delete", by=admin_user)
    result.pause() if state == "PAUSED" else result.revoke()
    world.receive_all()
    client = staff("view_treerun", "view_noderun", may)
    page = client.get(change_page(result.run)).content.decode()
    assert f"/control/{verb}/" not in page
    assert ask(client, control_page(result, verb)).status_code == 403
    node = result.children[0]
    page = reverse("admin:django_tasktree_noderun_control", args=[node.id, "retry"])
    assert ask(client, page).status_code == 403
    world.deliver_all("w")
    assert TreeRun.objects.filter(name="victim").count() == 3


def test_without_the_pages_of_runs(world, admin_client, monkeypatch):
    monkeypatch.setattr(control, "MOST", 2)
    results = [launch(task=fail) for _ in range(3)]
    world.deliver_all("w")
    monkeypatch.delitem(site._registry, TreeRun)
    ids = [str(result.children[0].id) for result in results]
    data = {"action": "retry_chosen", "_selected_action": ids, "confirmed": "yes"}
    assert admin_client.post(NODES, data)["Location"] == NODES


def test_whoever_may_not_delete_what_goes_along_deletes_nothing(world, staff, monkeypatch):
    monkeypatch.setattr(control, "MOST", 2)
    results = [launch() for _ in range(3)]
    for result in results:
        result.revoke()
    client = staff("view_treerun", "delete_treerun")
    monkeypatch.setattr(copy_and_delete, "models_that_go_with_runs", lambda: {LogEntry, User})
    refused = bulk(client, "delete", results, confirmed="yes")
    assert "permission to delete what goes with it" in told(refused)[0]
    assert TreeRun.objects.count() == 3


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
