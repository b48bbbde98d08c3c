"""The views that do an action on a run or a node."""

import json

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse

from django_tasktree import TaskTree
from django_tasktree.control.actions import ACTIONS, node_actions, run_actions
from django_tasktree.models import HistoryEntry, TreeRun
from tests.sample.tasks import echo, fail

pytestmark = pytest.mark.django_db(transaction=True)

BOTH = ("view_treerun", "control_treerun")


def launch(task=echo, **options):
    """Launch a tree of two nodes, one below the other."""
    tree = TaskTree("tree")
    tree.add_task(task, ["a"]).add_task(echo, ["b"])
    return tree.apply_async(**options)


def of_run(result, action):
    """Return the address of an action on a run."""
    return reverse("tasktree:control_run", args=[result.id, action])


def of_node(node, action):
    """Return the address of an action on a node."""
    return reverse("tasktree:control_node", args=[node.id, action])


def post_json(client, address, **values):
    """Post a JSON object."""
    return client.post(address, json.dumps(values), content_type="application/json")


def test_an_action_is_done_and_its_effect_is_returned(world, staff):
    client = staff(*BOTH)
    result = launch(fail)
    world.deliver_all("w")
    answer = client.post(of_run(result, "retry")).json()
    assert (answer["version"], answer["action"], answer["preview"]) == (1, "retry", False)
    assert answer["effect"] == {"again": 2, "revoked": 0, "held": 0, "removed": 0, "stays": 0, "running": 0}
    assert answer["texts"] == ["2 nodes run again"]
    assert (answer["run"]["state"], result.state) == ("STARTED", "STARTED")
    assert HistoryEntry.objects.get(run_id=result.id).user == client.user


@pytest.mark.parametrize("asked", [{"preview": True}, {"preview": "1"}, {"preview": "true"}])
def test_a_preview_does_nothing(world, staff, asked):
    client = staff(*BOTH)
    result = launch()
    for post in (
        lambda: post_json(client, of_run(result, "revoke"), **asked),
        lambda: client.post(of_run(result, "revoke"), asked),
    ):
        answer = post().json()
        assert (answer["preview"], answer["effect"]["revoked"], answer["run"]["state"]) == (True, 2, "STARTED")
    assert result.state == "STARTED"
    assert not HistoryEntry.objects.exists()


def test_every_action_of_a_run(world, staff, actions_in_sequence):
    client = staff(*BOTH, "launch_treerun", "delete_treerun")
    result = launch(draft=True)
    for action, state in actions_in_sequence:
        answer = client.post(of_run(result, action)).json()
        assert (answer["run"]["state"], answer["copy"]) == (state, None)
    answer = client.post(of_run(result, "copy")).json()
    copied = TreeRun.objects.get(copy_of=result.id)
    assert (answer["copy"], answer["run"]["id"]) == (str(copied.id), str(result.id))
    assert copied.launched_by == client.user
    assert client.post(of_run(result, "delete")).status_code == 409
    result.revoke()
    previewed = post_json(client, of_run(result, "delete"), preview=True).json()
    answer = client.post(of_run(result, "delete")).json()
    assert previewed["effect"] == answer["effect"]
    assert (previewed["run"]["state"], answer["run"], answer["texts"]) == ("REVOKED", None, ["2 nodes are deleted"])
    assert list(TreeRun.objects.all()) == [copied]
    assert set(run_actions()) == {"launch", "pause", "resume", "revoke", "retry", "copy", "delete"}


@pytest.mark.parametrize(("action", "permission"), [("launch", "launch"), ("copy", "launch"), ("delete", "delete")])
def test_launch_copy_and_delete_need_a_permission_of_their_own(world, staff, action, permission):
    client = staff(*BOTH)
    result = launch(draft=True)
    assert client.post(of_run(result, action)).status_code == 403
    assert (result.state, TreeRun.objects.count()) == ("DRAFT", 1)
    client.user.user_permissions.add(Permission.objects.get(codename=f"{permission}_treerun"))
    assert client.post(of_run(result, action)).status_code == 200


def test_every_action_of_a_node(world, staff):
    client = staff(*BOTH)
    result = launch(fail)
    (node,) = result.children
    for action in ("pause", "resume", "revoke", "retry"):
        assert client.post(of_node(node, action)).status_code == 200
    assert post_json(client, of_node(node, "complete"), result={"instead": 1}).status_code == 200
    assert (node.state, node.get()) == ("SUCCESS", {"instead": 1})
    assert client.post(of_node(node, "rerun")).json()["effect"]["again"] == 2
    assert set(node_actions()) == {"pause", "resume", "revoke", "retry", "complete", "rerun"}


def test_a_node_is_named_by_its_path_or_its_id(world, staff):
    tree = TaskTree("tree")
    tree.add_task(fail, label="load").add_task(echo, label="check", run_when="always").add_task(fail)
    result, other = tree.apply_async(), launch()
    world.deliver_all("w")
    node, client = result["load/check/0"], staff(*BOTH)
    for named in ("load/check/0", node.id):
        address = reverse("tasktree:control_node_of_run", args=[result.id, named, "retry"])
        answer = post_json(client, address, preview=True).json()
        assert (answer["node"], answer["path"], answer["effect"]["again"]) == (str(node.id), "load/check/0", 1)
        assert client.post(address.replace(str(result.id), str(other.id))).status_code == 404
    assert client.post(of_node(other.children[0], "rerun")).json()["path"] is None
    assert client.post(of_run(other, "pause")).json()["node"] is None
    client.user.user_permissions.remove(Permission.objects.get(codename="control_treerun"))
    assert client.post(address).status_code == 403


def test_options_can_be_sent_as_a_form(world, staff):
    (node,) = launch(fail).children
    assert staff(*BOTH).post(of_node(node, "complete"), {"result": "[1, 2]"}).status_code == 200
    assert node.get() == [1, 2]


def test_an_impossible_action_is_a_conflict(world, staff):
    refused = staff(*BOTH).post(of_run(launch(), "resume"))
    assert refused.status_code == 409
    assert refused.json()["error"]["message"].endswith("only a paused run can be resumed")


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", "Run “tree” is started: only a paused run can be resumed"),
        ("de", "Lauf “tree” ist im Zustand „gestartet“: nur ein angehaltener Lauf lässt sich fortsetzen"),
    ],
)
def test_refusals_are_in_the_language_of_the_user(world, staff, language, text):
    result = launch()
    refused = staff(*BOTH).post(of_run(result, "resume"), headers={"accept-language": language})
    message = refused.json()["error"]["message"]
    assert refused.status_code == 409
    assert str(result.id) not in message
    assert "STARTED" not in message
    assert text in message


@pytest.mark.parametrize("value", ["y", "2", "maybe", [True], {}, 1.5])
def test_an_unclear_preview_does_nothing(world, staff, value):
    client = staff(*BOTH)
    result = launch()
    posts = [post_json(client, of_run(result, "revoke"), preview=value)]
    if isinstance(value, str):
        posts += [
            client.post(of_run(result, "revoke"), {"preview": value}),
            client.post(f"{of_run(result, 'revoke')}?preview={value}"),
        ]
    assert {post.status_code for post in posts} == {400}
    assert "neither yes nor no" in posts[0].json()["error"]["message"]
    assert result.state == "STARTED"


@pytest.mark.parametrize(
    ("value", "note"), [("no", ""), ("off", ""), (0, ""), ("yes", "terminate"), (True, "terminate")]
)
def test_values_of_boolean_options(world, staff, value, note):
    result = launch()
    assert post_json(staff(*BOTH), of_run(result, "revoke"), terminate=value).status_code == 200
    assert HistoryEntry.objects.get(run_id=result.id).note == note


def test_an_unclear_option_does_nothing(world, staff):
    result = launch()
    assert post_json(staff(*BOTH), of_run(result, "revoke"), terminate="never").status_code == 400
    assert result.state == "STARTED"


@pytest.mark.parametrize("value", [False, None, 0, "0", "false", "no", "off", ""])
def test_values_that_ask_for_no_preview(world, staff, value):
    assert post_json(staff(*BOTH), of_run(launch(), "revoke"), preview=value).json()["preview"] is False


def test_the_query_string_can_ask_for_a_preview(world, staff):
    result = launch()
    assert staff(*BOTH).post(f"{of_run(result, 'revoke')}?preview=1").json()["preview"] is True
    assert result.state == "STARTED"


@pytest.mark.parametrize("action", ACTIONS)
def test_permission_to_view_a_run_is_not_enough_to_control_it(world, client, action):
    user = User.objects.create_user("launcher")
    client.force_login(user)
    result = launch(launched_by=user)
    address = of_run(result, action) if action in run_actions() else of_node(result.children[0], action)
    assert (client.post(address).status_code, result.state) == (403, "STARTED")
    assert client.get(address).status_code == 405


def allow(request, run):
    """Allow everything."""
    return True


def test_a_setting_decides_who_may_control_a_run(world, client, settings):
    settings.TASKTREE = {"MAY_VIEW_RUN": allow, "MAY_CONTROL_RUN": allow}
    result = launch()
    assert client.post(of_run(result, "pause")).json()["run"]["state"] == "PAUSED"


def test_a_run_that_may_not_be_viewed_is_not_found(world, staff):
    client = staff("control_treerun")
    result = launch()
    assert client.post(of_run(result, "pause")).status_code == 404
    assert client.post(of_node(result.children[0], "pause")).status_code == 404


def test_a_csrf_token_is_needed(world, admin_user):
    client = Client(enforce_csrf_checks=True)
    client.force_login(admin_user)
    result = launch()
    assert (client.post(of_run(result, "pause")).status_code, result.state) == (403, "STARTED")


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        ("{", 400, "The body is not JSON: Expecting"),
        ("[1]", 400, "not a JSON object"),
        ('{"result": 1', 400, "Expecting"),
        ('{"result": ' + 100_000 * "[", 400, "recursion"),
        ('{"result": ' + 5_000 * "9" + "}", 400, "5,000 digits"),
        ('{"result": NaN}', 400, "NaN is not a number of JSON"),
        ('{"result": [-1e999]}', 400, "the number -1e999 is too large"),
    ],
)
def test_an_invalid_request_body_is_refused(world, staff, body, status, text):
    address = of_node(launch().children[0], "complete")
    refused = staff(*BOTH).post(address, body, content_type="application/json")
    assert refused.status_code == status
    assert text in refused.json()["error"]["message"]


@pytest.mark.parametrize(
    "text",
    ["9" * 5_000, "[" * 100_000, "NaN", "[-Infinity]", "1e999"],
    ids=["long", "deep", "nan", "infinite", "large"],
)
def test_a_result_that_is_not_json_is_refused(world, staff, admin_client, text):
    (node,) = launch(fail).children
    refused = staff(*BOTH).post(of_node(node, "complete"), {"result": text})
    assert (refused.status_code, list(refused.json()["error"]["fields"])) == (400, ["result"])
    page = reverse("admin:django_tasktree_noderun_control", args=[node.id, "complete"])
    shown = admin_client.post(page, {"confirmed": "yes", "result": text})
    assert (shown.status_code, list(shown.context["page"].form.errors)) == (200, ["result"])
    data = {"action": "complete_chosen", "_selected_action": [str(node.id)], "confirmed": "yes", "result": text}
    shown = admin_client.post(reverse("admin:django_tasktree_noderun_changelist"), data)
    assert (shown.status_code, list(shown.context["page"].form.errors)) == (200, ["result"])
    assert node.state == "QUEUED"


@pytest.mark.parametrize("method", ["get", "put", "delete"])
def test_another_method_is_refused_in_json(world, staff, method):
    refused = getattr(staff(*BOTH), method)(of_run(launch(), "pause"))
    assert (refused.status_code, refused["Allow"]) == (405, "POST")
    assert refused.json()["error"]["message"] == "Method not allowed. Use POST."


def test_an_invalid_option_is_reported_at_its_field(world, staff):
    (node,) = launch().children
    refused = staff(*BOTH).post(of_node(node, "complete"), {"result": "no JSON"})
    assert refused.status_code == 400
    assert refused.json()["error"]["fields"] == {
        "result": ["This is not valid JSON: Expecting value: line 1 column 1 (char 0)"]
    }
    assert node.state == "QUEUED"


def test_an_unknown_key_of_json_is_refused(world, staff):
    """Otherwise a misspelled "preview" would carry out the action."""
    result = launch()
    client = staff(*BOTH)
    refused = post_json(client, of_run(result, "revoke"), preveiw=True)
    assert refused.status_code == 400
    assert refused.json()["error"]["message"] == ("There is no option “preveiw” here. Choose from: terminate, preview.")
    assert result.state == "STARTED"
    assert client.post(of_run(result, "pause"), {"csrfmiddlewaretoken": "x"}).status_code == 200


def test_unknown_actions_and_nodes_are_not_found(world, staff):
    client = staff(*BOTH)
    result = launch()
    refused = client.post(of_run(result, "complete"))
    assert refused.status_code == 404
    assert refused.json()["error"]["message"].startswith(
        "There is no action “complete” here. Choose one of: launch, pause"
    )
    address = reverse("tasktree:control_node", args=[result.id, "pause"])
    assert client.post(address).json()["error"]["message"].startswith("There is no node")
