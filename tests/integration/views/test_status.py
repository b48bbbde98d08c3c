"""The view that returns the state of a run as JSON, and signed links to it."""

import time
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.urls import reverse

from django_tasktree import TaskTree
from django_tasktree.models import TreeRun
from django_tasktree.views import progress_link
from tests.sample.tasks import echo, fail

pytestmark = pytest.mark.django_db(transaction=True)


def launch(task=echo, definition="", params=None, **options):
    """Launch a tree of two nodes, one below the other."""
    tree = TaskTree("order 7")
    tree.definition, tree.params = definition, params or {}
    tree.add_task(task, ["a"]).add_task(echo, ["b"])
    return tree.apply_async(**options)


def status_of(result):
    """Return the address of the view."""
    return reverse("tasktree:status", args=[result.id])


def test_the_status_of_a_run_that_has_ended(eager, staff):
    client = staff("view_treerun")
    result = launch(params={"order": 7}, definition="orders")
    run = TreeRun.objects.get(id=result.id)
    status = client.get(status_of(result)).json()
    assert status == {
        "version": 1,
        "id": str(result.id),
        "name": "order 7",
        "definition": "orders",
        "params": {"order": 7},
        "state": "SUCCESS",
        "state_label": "success",
        "is_over": True,
        "error": None,
        "parent": None,
        "created_at": status["created_at"],
        "started_at": status["started_at"],
        "finished_at": status["finished_at"],
        "duration": run.duration.total_seconds(),
        "progress": {
            "total": 2,
            "done": 2,
            "failed": 0,
            "is_counted": True,
            "fraction": 1.0,
            "by_state": {"SUCCESS": 2},
            "text": "2 / 2",
            "segments": status["progress"]["segments"],
        },
        "links": {
            "children": reverse("tasktree:children", args=[result.id]),
            "progress": reverse("tasktree:progress", args=[result.id]),
        },
    }
    assert status["progress"]["segments"][0] == {"name": "success", "x": 0.0, "width": 100.0}
    assert status["created_at"] <= status["started_at"] <= status["finished_at"]


def test_the_status_of_an_open_run(staff):
    status = staff("view_treerun").get(status_of(launch())).json()
    assert (status["state"], status["is_over"], status["duration"]) == ("STARTED", False, None)
    assert status["progress"]["fraction"] == 0


def test_an_unchanged_status_is_not_sent_again(eager, staff, django_assert_max_num_queries):
    client = staff("view_treerun")
    result = launch()
    first = client.get(status_of(result))
    assert first["Cache-Control"] == "private, no-cache"
    with django_assert_max_num_queries(7):
        again = client.get(status_of(result), headers={"If-None-Match": first["ETag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("user", ["anonymous", "other"])
def test_a_run_that_may_not_be_viewed_looks_like_one_that_does_not_exist(eager, client, user):
    result = launch(launched_by=User.objects.create_user("launcher"))
    if user == "other":
        client.force_login(User.objects.create_user("other"))
    for address in (status_of(result), reverse("tasktree:children", args=[result.id])):
        hidden = client.get(address)
        missing = client.get(address.replace(str(result.id), str(other := uuid4())))
        assert (hidden.status_code, missing.status_code) == (404, 404)
        assert (
            hidden.json()["error"]["message"].replace(str(result.id), str(other)) == missing.json()["error"]["message"]
        )


def test_the_user_who_launched_a_run_may_view_it(eager, client):
    user = User.objects.create_user("launcher")
    client.force_login(user)
    assert client.get(status_of(launch(launched_by=user))).json()["state"] == "SUCCESS"


def of_the_sales_team(request, run):
    """Return whether the request comes from the sales team."""
    return run.name.startswith("order") and request.GET.get("team") == "sales"


@pytest.mark.parametrize("named", [of_the_sales_team, f"{__name__}.of_the_sales_team"], ids=["function", "path"])
def test_a_setting_decides_who_may_view_a_run(eager, client, settings, named):
    settings.TASKTREE = {"MAY_VIEW_RUN": named}
    result = launch()
    assert client.get(status_of(result)).status_code == 404
    assert client.get(status_of(result) + "?team=sales").json()["name"] == "order 7"


def test_only_get_is_allowed(eager, staff):
    assert staff("view_treerun").post(status_of(launch())).status_code == 405


def test_a_signed_link_shows_counts_and_nothing_else(eager, client):
    result = launch(fail, params={"secret": "s"}, launched_by=User.objects.create_user("launcher"))
    for link in (progress_link(result), progress_link(result.id), progress_link(str(result.id))):
        assert "order 7" in client.get(link).content.decode()
    status = client.get(progress_link(result, status=True)).json()
    assert (status["state"], status["progress"]["text"]) == ("FAILURE", "2 / 2, 1 failed")
    assert not {"params", "links", "error", "definition"} & status.keys()


def test_a_signed_link_expires(eager, client, settings, monkeypatch):
    settings.TASKTREE = {"PROGRESS_LINK_MAX_AGE": 60}
    result = launch()
    link = progress_link(result, status=True)
    assert client.get(link).status_code == 200
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 61)
    refused = client.get(link)
    assert (refused.status_code, refused.json()["error"]["message"]) == (
        404,
        "This link is invalid or has expired.",
    )


def test_a_signed_link_can_not_be_forged(eager, client):
    result = launch()
    link = progress_link(result, status=True)
    assert client.get(link.replace(":", "x")).status_code == 404
    TreeRun.objects.filter(id=result.id).delete()
    gone = client.get(link)
    assert (gone.status_code, gone.json()["error"]["message"]) == (404, "This run no longer exists.")
