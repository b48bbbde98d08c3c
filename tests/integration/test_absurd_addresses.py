"""No parameter of any address gives an error of the server, and no stored text breaks a page."""

from urllib.parse import quote

import pytest
from django.contrib.auth.models import User
from django.urls import reverse

from django_tasktree import TaskTree
from django_tasktree.models import NodeRun
from tests.sample.tasks import echo

#: Percent-encoded: half of a surrogate pair is no UTF-8, and a browser sends what it is given.
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
    client.force_login(User.objects.create_superuser("root"))
    client.raise_request_exception = False
    return client


def addresses(result):
    """Every page of the admin and of the views that takes parameters, with what it takes."""
    for name, parameters in PAGES.items():
        yield reverse(f"admin:django_tasktree_treerun_{name}"), parameters
    yield reverse("admin:django_tasktree_noderun_changelist"), PAGES["changelist"]
    for name, parameters in RUN_PAGES.items():
        yield reverse(f"admin:django_tasktree_treerun_{name}", args=[result.id]), parameters
    for name, parameters in VIEWS.items():
        yield reverse(f"tasktree:{name}", args=[result.id]), parameters


def test_parameters(root, result):
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
    """As an older version, or another program, may have written them: JSON has escapes for what text has not."""
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
