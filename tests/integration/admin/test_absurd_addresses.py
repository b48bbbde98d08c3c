"""No parameter of any address causes a server error, and no stored text breaks a page."""

from urllib.parse import quote

import pytest
from django.contrib.auth.models import User
from django.urls import reverse

from django_tasktree import TaskTree
from django_tasktree.models import NodeRun
from tests.sample.tasks import echo

#: Percent-encoded, as a browser would send them: half of a surrogate pair is not valid UTF-8.
ABSURD = {
    "5,000 digits": "9" * 5000,
    "ten digits": "9999999999",
    "negative": "-1",
    "zero": "0",
    "fraction": "1.5",
    "not a number": "nan",
    "superscript": quote("²"),
    "other digits": quote("١٢"),
    "nul": "%00",
    "surrogate": "%ED%A0%80",
    "no utf-8": "%FF",
    "long": "x" * 20_000,
    "empty": "",
    "id of nothing": "00000000-0000-0000-0000-000000000000",
    "many ids": ",".join(["00000000-0000-0000-0000-000000000000"] * 500),
}
RUN_PAGES = {
    "change": ["page", "parent", "nodes", "depth"],
    "live": ["nodes", "parent", "page", "depth"],
    "rows": ["parent", "page", "depth"],
    "timeline": ["page", "after"],
    "graph": ["parent", "page"],
}
PAGES = {
    "changelist": ["p", "q", "o", "all", "state__exact", "definition", "launched_by", "created", "e"],
    "launch": ["again", "definition"],
    "compose": ["from"],
    "dashboard": ["page"],
}
VIEWS = {"status": ["format"], "children": ["parent", "after", "limit"], "progress": ["next"]}


@pytest.fixture
def result(eager, database):
    tree = TaskTree()
    tree.add_task(echo, ["a"]).add_task(echo, ["b"])
    return tree.apply_async()


@pytest.fixture
def root(client, database):
    """Log a superuser in; the client returns errors of the server as responses."""
    client.force_login(User.objects.create_superuser("root"))
    client.raise_request_exception = False
    return client


def addresses(result):
    """Yield each page and view that takes parameters, with the names of these."""
    for name, parameters in PAGES.items():
        yield reverse(f"admin:django_tasktree_treerun_{name}"), parameters
    yield reverse("admin:django_tasktree_noderun_changelist"), PAGES["changelist"]
    for name, parameters in RUN_PAGES.items():
        yield reverse(f"admin:django_tasktree_treerun_{name}", args=[result.id]), parameters
    for name, parameters in VIEWS.items():
        yield reverse(f"tasktree:{name}", args=[result.id]), parameters


def test_no_parameter_causes_a_server_error(root, result):
    broken, seen = [], 0
    for address, parameters in addresses(result):
        for parameter in parameters:
            for kind, value in ABSURD.items():
                status = root.get(f"{address}?{parameter}={value}").status_code
                seen += 1
                if status >= 500:
                    broken.append((status, address, parameter, kind))
    assert broken == []
    assert seen > 500


def test_texts_that_no_database_could_store_are_shown(root, result):
    """Older versions or other programs may have written them: JSON can escape characters that text can't contain."""
    surrogate = r'["\ud800", "\u0000", {"\udfff": 1}]'
    NodeRun.objects.filter(run_id=result.id).update(args=surrogate, result=surrogate, error_args=surrogate)
    for name in ("treerun", "noderun"):
        rows = [result.id] if name == "treerun" else NodeRun.objects.values_list("id", flat=True)
        for key in rows:
            answer = root.get(reverse(f"admin:django_tasktree_{name}_change", args=[key]))
            assert answer.status_code == 200
            answer.content.decode()
    for name in VIEWS:
        assert root.get(reverse(f"tasktree:{name}", args=[result.id])).status_code == 200


@pytest.mark.parametrize(("kind", "page"), [("treerun", "delete"), ("treerun", "history"), ("noderun", "history")])
@pytest.mark.parametrize("key", ["abc", "a_2Fb", "x/y", "%00", "%ED%A0%80"])
def test_an_invalid_key_is_not_found(root, kind, page, key):
    assert root.get(f"/admin/django_tasktree/{kind}/{key}/{page}/").status_code == 404


@pytest.mark.parametrize("kind", ["treerun", "noderun"])
@pytest.mark.parametrize("key", ["x", "", "9" * 5000, "\x00"])
def test_an_invalid_key_can_not_be_selected(root, result, kind, key):
    data = {"action": "revoke_chosen", "_selected_action": [str(result.id), key]}
    response = root.post(reverse(f"admin:django_tasktree_{kind}_changelist"), data)
    assert response.status_code == 400
    assert b"_selected_action" not in response.content


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("created_at__year=9999&created_at__month=12&created_at__day=31", 302),
        ("created_at__year=9999&created_at__month=12", 302),
        ("created_at__year=9999", 302),
        (f"created_at__year={'9' * 30}", 302),
        ("name__regex=(", 400),
        ("name__iregex=(", 400),
        ("definition__regex=(a+)+$", 400),
    ],
)
def test_an_invalid_lookup_is_refused(root, result, query, status):
    page = root.get(f"{reverse('admin:django_tasktree_treerun_changelist')}?{query}")
    assert page.status_code == status
    assert status == 400 or page.url.endswith("?e=1")
    live = root.get(f"{reverse('admin:django_tasktree_treerun_list_live')}?{query}")
    assert live.status_code == (404 if status == 302 else 400)
