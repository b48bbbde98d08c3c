"""Steering by POST."""

import json

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from django_tasktree import TaskTree
from django_tasktree.models import HistoryEntry
from django_tasktree.verbs import VERBS, verbs_of_nodes, verbs_of_runs
from tests.sample.tasks import echo, fail

pytestmark = pytest.mark.django_db(transaction=True)

BOTH = ("view_treerun", "control_treerun")


def launched(task=echo, **options):
    tree = TaskTree("tree")
    tree.add_task(task, ["a"]).add_task(echo, ["b"])
    return tree.apply_async(**options)


def of_run(result, verb):
    return reverse("tasktree:control_run", args=[result.id, verb])


def of_node(node, verb):
    return reverse("tasktree:control_node", args=[node.id, verb])


def as_json(client, address, **values):
    return client.post(address, json.dumps(values), content_type="application/json")


def test_it_is_done_and_told(world, staff):
    client = staff(*BOTH)
    result = launched(fail)
    world.deliver_all("w")
    told = client.post(of_run(result, "retry")).json()
    assert (told["version"], told["verb"], told["preview"]) == (1, "retry", False)
    assert told["effect"] == {"again": 2, "revoked": 0, "held": 0, "removed": 0, "stays": 0, "running": 0}
    assert told["texts"] == ["2 nodes run again"]
    assert (told["run"]["state"], result.state) == ("STARTED", "STARTED")
    assert HistoryEntry.objects.get(run_id=result.id).user == client.user


@pytest.mark.parametrize("asked", [{"preview": True}, {"preview": "1"}, {"preview": "true"}])
def test_a_preview_does_nothing(world, staff, asked):
    client = staff(*BOTH)
    result = launched()
    for post in (
        lambda: as_json(client, of_run(result, "revoke"), **asked),
        lambda: client.post(of_run(result, "revoke"), asked),
    ):
        told = post().json()
        assert (told["preview"], told["effect"]["revoked"], told["run"]["state"]) == (True, 2, "STARTED")
    assert result.state == "STARTED"
    assert not HistoryEntry.objects.exists()


def test_every_verb_of_a_run(world, staff, verbs_in_turn):
    client = staff(*BOTH)
    result = launched(draft=True)
    for verb, state in verbs_in_turn:
        assert client.post(of_run(result, verb)).json()["run"]["state"] == state
    assert {verb.name for verb in verbs_of_runs()} == {"launch", "pause", "resume", "revoke", "retry"}


def test_every_verb_of_a_node(world, staff):
    client = staff(*BOTH)
    result = launched(fail)
    (node,) = result.children
    for verb in ("pause", "resume", "revoke", "retry"):
        assert client.post(of_node(node, verb)).status_code == 200
    assert as_json(client, of_node(node, "skip"), result={"instead": 1}).status_code == 200
    assert (node.state, node.get()) == ("SUCCESS", {"instead": 1})
    assert client.post(of_node(node, "rerun")).json()["effect"]["again"] == 2
    assert {verb.name for verb in verbs_of_nodes()} == {"pause", "resume", "revoke", "retry", "skip", "rerun"}


def test_options_in_a_form(world, staff):
    (node,) = launched(fail).children
    assert staff(*BOTH).post(of_node(node, "skip"), {"result": "[1, 2]"}).status_code == 200
    assert node.get() == [1, 2]


def test_what_does_not_fit_the_state(world, staff):
    refused = staff(*BOTH).post(of_run(launched(), "resume"))
    assert refused.status_code == 409
    assert refused.json()["error"]["message"].endswith("only a paused run can be resumed")


@pytest.mark.parametrize("verb", VERBS)
def test_who_may_see_a_run_may_not_steer_it_yet(world, client, verb):
    user = User.objects.create_user("launcher")
    client.force_login(user)
    result = launched(launched_by=user)
    known = {each.name for each in verbs_of_runs()}
    address = of_run(result, verb) if verb in known else of_node(result.children[0], verb)
    assert (client.post(address).status_code, result.state) == (403, "STARTED")
    assert client.get(address).status_code == 405


def anybody(request, run):
    return True


def test_who_may_steer_it_is_a_setting(world, client, settings):
    settings.TASKTREE = {"MAY_VIEW_RUN": anybody, "MAY_CONTROL_RUN": anybody}
    result = launched()
    assert client.post(of_run(result, "pause")).json()["run"]["state"] == "PAUSED"


def test_what_may_not_be_seen_can_not_be_steered(world, staff):
    client = staff("control_treerun")
    result = launched()
    assert client.post(of_run(result, "pause")).status_code == 404
    assert client.post(of_node(result.children[0], "pause")).status_code == 404


def test_the_token_of_the_project_is_asked_for(world, admin_user):
    client = Client(enforce_csrf_checks=True)
    client.force_login(admin_user)
    result = launched()
    assert (client.post(of_run(result, "pause")).status_code, result.state) == (403, "STARTED")


@pytest.mark.parametrize(
    ("body", "status", "told"),
    [
        ("{", 400, "The body is not JSON: Expecting"),
        ("[1]", 400, "no JSON object"),
        ('{"result": 1', 400, "Expecting"),
        ('{"result": ' + 100_000 * "[", 400, "recursion"),
    ],
)
def test_bodies_that_can_not_be_read(world, staff, body, status, told):
    address = of_node(launched().children[0], "skip")
    refused = staff(*BOTH).post(address, body, content_type="application/json")
    assert refused.status_code == status
    assert told in refused.json()["error"]["message"]


@pytest.mark.parametrize("method", ["get", "put", "delete"])
def test_another_method_is_refused_in_json(world, staff, method):
    refused = getattr(staff(*BOTH), method)(of_run(launched(), "pause"))
    assert (refused.status_code, refused["Allow"]) == (405, "POST")
    assert refused.json()["error"]["message"] == "This address takes POST."


def test_options_that_are_not_valid(world, staff):
    (node,) = launched().children
    refused = staff(*BOTH).post(of_node(node, "skip"), {"result": "no JSON"})
    assert refused.status_code == 400
    assert refused.json()["error"]["fields"] == {"result": ["Enter a valid JSON."]}
    assert node.state == "QUEUED"


def test_unknown_verbs_and_nodes(world, staff):
    client = staff(*BOTH)
    result = launched()
    refused = client.post(of_run(result, "skip"))
    assert refused.status_code == 404
    assert refused.json()["error"]["message"].startswith("There is no verb “skip” here: it is one of launch, pause")
    address = reverse("tasktree:control_node", args=[result.id, "pause"])
    assert client.post(address).json()["error"]["message"].startswith("There is no node")
