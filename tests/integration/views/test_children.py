"""The view that returns the nodes of a run as JSON, in pages."""

from urllib.parse import urlencode

import pytest
from django.contrib.auth.models import User
from django.urls import reverse

from django_tasktree import TaskTree
from tests.sample.tasks import echo, fail, grow

pytestmark = pytest.mark.django_db(transaction=True)


def children_of(result, **query):
    """Return the address of the view."""
    return reverse("tasktree:children", args=[result.id]) + ("?" + urlencode(query) if query else "")


def wide(number, **options):
    """Launch a tree with many root nodes."""
    tree = TaskTree()
    for each in range(number):
        tree.add_task(echo, [each])
    return tree.apply_async(**options)


def test_the_nodes_below_each_parent(eager, staff):
    client = staff("view_treerun")
    tree = TaskTree()
    tree.add_task(echo, ["a"]).gather(echo, ["b"])
    result = tree.apply_async()
    (root,) = result.children
    answer = client.get(children_of(result)).json()
    (node,) = answer.pop("nodes")
    assert answer == {"version": 1, "run": str(result.id), "parent": None, "total": 1, "next": None}
    times = {name: node.pop(name) for name in ("queued_at", "started_at", "finished_at")}
    assert None not in times.values()
    assert node == {
        "id": str(root.id),
        "parent": None,
        "position": 0,
        "label": None,
        "task": echo.name,
        "state": "SUCCESS",
        "state_label": "success",
        "is_gather": False,
        "quorum": "",
        "run_when": "success",
        "child_count": 1,
        "attempts": 1,
        "sub_run": None,
    }
    below = client.get(children_of(result, parent=root.id)).json()
    assert (below["parent"], below["total"], below["nodes"][0]["is_gather"]) == (str(root.id), 1, True)


def test_root_nodes_in_pages(eager, staff):
    client = staff("view_treerun")
    address, seen, pages = children_of(wide(7), limit=3), [], 0
    while address:
        answer = client.get(address).json()
        assert answer["total"] == 7
        seen += [node["position"] for node in answer["nodes"]]
        address, pages = answer["next"], pages + 1
    assert (seen, pages) == ([*range(7)], 3)


def test_children_of_a_node_in_pages(eager, staff):
    client = staff("view_treerun")
    tree = TaskTree()
    tree.add_task(grow, [5, 1])
    result = tree.apply_async()
    answer = client.get(children_of(result, parent=result.children[0].id, limit=4)).json()
    assert len(answer["nodes"]) == 4
    assert len(client.get(answer["next"]).json()["nodes"]) == 2


def test_query_count_does_not_depend_on_the_width(eager, staff, django_assert_num_queries):
    client = staff("view_treerun")
    few, many = wide(2), wide(150)
    for result, shown in ((few, 2), (many, 100)):
        # Session, user, permissions of the user and of groups, run, total, nodes.
        with django_assert_num_queries(7):
            answer = client.get(children_of(result)).json()
        assert len(answer["nodes"]) == shown


def test_errors_need_permission_to_view_nodes(eager, client, staff):
    tree = TaskTree()
    tree.add_task(fail, ["a secret"])
    allowed = staff("view_treerun", "view_noderun")
    result = tree.apply_async(launched_by=allowed.user)
    (node,) = allowed.get(children_of(result)).json()["nodes"]
    assert node["error"] == {"type": node["error"]["type"], "message": "a secret"}
    allowed.user.user_permissions.clear()
    (node,) = allowed.get(children_of(result)).json()["nodes"]
    assert "error" not in node
    assert node["state"] == "FAILURE"


@pytest.mark.parametrize(
    ("query", "status", "message"),
    [
        ({"limit": 0}, 400, "limit=0 is not a whole number of at least 1."),
        ({"limit": "many"}, 400, "limit=many is not a whole number of at least 1."),
        ({"after": "-5"}, 400, "after=-5 is not a whole number of at least 0."),
        ({"after": "9" * 20}, 400, "is not a whole number"),
        ({"parent": "nonsense"}, 404, "has no node nonsense"),
        ({"parent": "01a20b69-8d1f-7c55-97f8-60e5f99ed5e7"}, 404, "has no node 01a20b69"),
    ],
)
def test_invalid_parameters_are_refused(eager, staff, query, status, message):
    refused = staff("view_treerun").get(children_of(wide(1), **query))
    assert (refused.status_code, refused.json()["version"]) == (status, 1)
    assert message in refused.json()["error"]["message"]


def test_a_node_of_another_run_is_not_shown(eager, client):
    user = User.objects.create_user("launcher")
    client.force_login(user)
    mine, other = wide(1, launched_by=user), wide(1)
    assert client.get(children_of(mine, parent=other.children[0].id)).status_code == 404


def test_a_parent_by_its_path(eager, staff):
    client = staff("view_treerun")
    tree = TaskTree()
    load = tree.add_task(echo, label="load")
    load.add_task(echo, label="orders").add_task(echo, label="line")
    result = tree.apply_async()
    answer = client.get(children_of(result, parent="load/orders")).json()
    assert answer["parent"] == str(result["load/orders"].id)
    assert [node["label"] for node in answer["nodes"]] == ["line"]
    for path in ["load/nothing", "load//orders"]:
        assert client.get(children_of(result, parent=path)).status_code == 404


def test_a_label_that_looks_like_an_id(eager, staff):
    tree = TaskTree()
    label = "0191e7a6-0000-7000-8000-000000000001"
    tree.add_task(echo, label=label).add_task(echo, label="below")
    answer = staff("view_treerun").get(children_of(tree.apply_async(), parent=label)).json()
    assert [node["label"] for node in answer["nodes"]] == ["below"]
