"""What the open page of a run requests: contents, cost, caching and permissions."""

import json
import re
from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from django_tasktree import TaskTree
from django_tasktree.admin.tree import graph, timeline
from django_tasktree.admin.tree import page as tree_page
from django_tasktree.builder.nodes import NodeParent
from django_tasktree.encoding import times
from django_tasktree.encoding.ids import new_id
from django_tasktree.engine.backends import backend
from django_tasktree.engine.transitions import nodes
from django_tasktree.engine.traversal import in_chunks
from django_tasktree.models import NodeRun
from tests.sample.tasks import echo, fail

pytestmark = pytest.mark.django_db(transaction=True)
KINDS = ("live", "rows", "graph", "timeline")


def address(kind, result, **query):
    """Return the address of one part of the page of a run."""
    return reverse(f"admin:django_tasktree_treerun_{kind}", args=[result.id], query=query or None)


def page_of(result):
    return reverse("admin:django_tasktree_treerun_change", args=[result.id])


def fan(width, below=0):
    """Launch a root node with many children, nodes below each of them, and a gather node."""
    tree = TaskTree("fan")
    top = tree.add_task(echo, ["top"])
    for number in range(width):
        node = top.add_task(echo, [number])
        for _ in range(below):
            node.add_task(echo, ["below"])
    top.gather(echo, [top.outputs])
    return tree.apply_async()


def get(client, *args, **query):
    """Return the JSON of one part of the page of a run."""
    response = client.get(address(*args, **query))
    assert response.status_code == 200
    return response.json()


def measure(client, page):
    """Return the number of queries and the size of the response, when a page is opened again."""
    client.get(page)
    with CaptureQueriesContext(connection) as captured:
        response = client.get(page)
    assert response.status_code == 200
    return len(captured), len(response.content)


def copy_nodes(result, parent, times):
    """Copy a child of a node many times, which is faster than building a large tree."""
    row = NodeRun.objects.filter(parent=parent).exclude(is_gather=True)[0]
    values = {field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields}
    gather = NodeRun.objects.get(parent=parent, is_gather=True)
    for positions in in_chunks(list(range(gather.position, gather.position + times)), 2000):
        ids = [new_id() for _ in positions]
        columns = {name: [value] * len(ids) for name, value in values.items()}
        # Unlike bulk_create(), this makes no object for each row.
        backend().insert_nodes({**columns, "id": ids, "task_id": ids, "position": positions})
    nodes().filter(id=gather.id).update(position=gather.position + times)
    nodes().filter(id=parent).update(child_count=gather.position + times + 1)


@pytest.mark.long
def test_a_run_of_a_hundred_thousand_nodes(world, admin_client):
    """The first page takes under 20 queries and 200 kB, opening a parent of 50,000 children under 10."""
    tree = TaskTree("huge")
    tops = [tree.add_task(echo, [number]) for number in range(2)]
    for top in tops:
        top.add_task(echo, ["x"])
        top.gather(echo, [top.outputs])
    result = tree.apply_async()
    parents = [result[top].id for top in tops]
    for parent in parents:
        copy_nodes(result, parent, 50_000)
    assert NodeRun.objects.count() > 100_000
    number, size = measure(admin_client, page_of(result))
    assert number < 20
    assert size < 200_000
    for query in ({"parent": parents[0]}, {"parent": parents[0], "page": 900}):
        number, size = measure(admin_client, address("rows", result, **query))
        assert number < 10
        assert size < 100_000
    for kind, most in (("live", 20), ("graph", 25), ("timeline", 10)):
        number, size = measure(admin_client, address(kind, result))
        assert number < most, kind
        assert size < 100_000, kind


@pytest.mark.parametrize("kind", KINDS)
def test_query_count_does_not_depend_on_the_width(world, admin_client, kind):
    # More than fit on one page: then the gather nodes and failed nodes of later pages are read, too.
    few, many = fan(60), fan(400)
    pages = [address(kind, result, parent=result.children[0].id) for result in (few, many)]
    first, second = (measure(admin_client, page)[0] for page in pages)
    assert first == second


def test_the_live_part_and_the_states_of_rows(world, admin_client):
    result = fan(2)
    ids = [node.id.hex for node in NodeRun.objects.filter(run_id=result.id).order_by("id")]
    before = get(admin_client, "live", result, nodes=",".join(ids[:2]))
    assert before["over"] is False
    assert set(before["rows"]) == set(ids[:2])
    assert "queued" in before["rows"][result.children[0].id.hex]["badge"]
    assert "0 / 4" in before["html"]
    world.deliver_all("w")
    after = get(admin_client, "live", result, nodes=",".join(ids))
    assert after["over"] is True
    assert len(after["rows"]) == 4
    assert all("tasktree-state-success" in row["badge"] for row in after["rows"].values())
    assert "4 / 4" in after["html"]


def test_rows_whose_nodes_were_deleted_are_listed(world, admin_client):
    result = fan(1)
    kept, deleted = result.children[0].id.hex, "01a20aff1ea37d5dae7d5bc91918ad1e"
    answer = get(admin_client, "live", result, nodes=f"{kept},{deleted},nonsense")
    assert (set(answer["rows"]), answer["gone"]) == ({kept}, [deleted])
    assert "show all 2" in answer["rows"][kept]["cell"]


def test_unchanged_parts_are_not_sent_again(world, admin_client):
    """A running node changes nothing, because the browser counts durations."""
    result = fan(2)
    top = nodes().filter(id=result.children[0].id)
    top.update(state="STARTED", started_at=times.now())
    tags = {}
    kept = {
        "list": reverse("admin:django_tasktree_treerun_list_live"),
        **{kind: address(kind, result) for kind in ("live", "graph", "timeline")},
    }
    kept["live"] += f"?nodes={result.children[0].id.hex}"
    for kind, page in kept.items():
        first = admin_client.get(page)
        assert "no-store" not in first["Cache-Control"], kind
        again = admin_client.get(page, headers={"If-None-Match": first["ETag"]})
        assert (again.status_code, again.content) == (304, b""), kind
        tags[kind] = first["ETag"]
    top.update(state="QUEUED", started_at=None)
    world.deliver_all("w")
    for kind, page in kept.items():
        assert admin_client.get(page, headers={"If-None-Match": tags[kind]}).status_code == 200, kind


def test_the_dashboard_does_not_change_only_because_time_passes(world, admin_client, monkeypatch):
    """The browser counts how long nodes wait, and how long ago workers were last seen."""
    result = fan(2)
    now = times.instant_now().replace(minute=30)
    NodeRun.objects.filter(run_id=result.id, state="QUEUED").update(queued_at=now - timedelta(seconds=70))
    page = reverse("admin:django_tasktree_treerun_dashboard")
    monkeypatch.setattr(times, "instant_now", lambda: now)
    index = admin_client.get("/admin/django_tasktree/").content.decode()
    assert re.search(r"<span data-tasktree-since=[^>]+>1 min 10 s</span>", index)
    # The worker's heartbeat has the real time, so the duration varies.
    assert re.search(r"<span data-tasktree-since=[^>]+>[^<]+</span> ago", index)
    first = admin_client.get(page)
    monkeypatch.setattr(times, "instant_now", lambda: now + timedelta(seconds=5))
    again = admin_client.get(page, headers={"If-None-Match": first["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    world.deliver_all("w")
    assert admin_client.get(page, headers={"If-None-Match": first["ETag"]}).status_code == 200


def test_rows_are_paged_and_indented(world, admin_client, monkeypatch):
    monkeypatch.setattr(tree_page, "PAGE", 4)
    result = fan(9)
    parent = result.children[0].id
    pages = []
    number = 1
    while number:
        answer = get(admin_client, "rows", result, parent=parent, page=number, depth=3)
        pages.append(answer["html"].count("<tr "))
        assert answer["total"] == 10
        assert answer["html"].count('data-depth="3"') == pages[-1]
        number = answer["next"]
    assert pages == [4, 4, 2]


@pytest.mark.parametrize("depth", [1, 12, 60, 2_000])
def test_rows_of_a_deep_tree_keep_their_depth(world, admin_client, depth):
    """The script finds the parent and the children of a row by their depths; only the indentation is limited."""
    result = fan(1)
    html = get(admin_client, "rows", result, parent=result.children[0].id, depth=depth)["html"]
    assert set(re.findall(r'data-depth="(\d+)"', html)) == {str(depth)}
    assert set(re.findall(r"tasktree-depth-(\d+)", html)) == {str(min(depth, 12))}


def test_the_graph_folds_wide_fans(world, admin_client):
    result = fan(100)
    drawn = get(admin_client, "graph", result)["nodes"]
    head, top, *below = drawn
    assert (head["top"], head["name"], top["parent"]) == (True, "fan", head["id"])
    assert [node.get("gather") for node in below] == [False] * graph.MAX_CHILDREN + [True, None]
    assert below[-1] == {"parent": top["id"], "count": 100 - graph.MAX_CHILDREN, "shown": graph.MAX_CHILDREN}
    inner = get(admin_client, "graph", result, parent=top["id"])["nodes"]
    assert (inner[0]["id"], inner[0]["up"]) == (top["id"], "")
    assert inner[-1]["count"] == 100 - graph.MAX_CHILDREN


def test_a_bundle_opens(world, admin_client):
    result = fan(100)
    top = result.children[0].id.hex
    drawn = get(admin_client, "graph", result, open=f"{top}:26,{'0' * 32}:5,nonsense,{top}")["nodes"]
    shown = [node for node in drawn if node["parent"] == top]
    assert len(shown) == 26 + 1 + 1
    assert shown[-1] == {"parent": top, "count": 100 - 26, "shown": 26}
    everything = get(admin_client, "graph", result, open=f"{top}:101")["nodes"]
    assert len([node for node in everything if node["parent"] == top]) == 101
    root = get(admin_client, "graph", result, open=f"{result.id.hex}:9")["nodes"]
    assert len(root) == len(get(admin_client, "graph", result)["nodes"])


def test_the_size_of_the_graph_is_bounded(world, admin_client, monkeypatch):
    tree = TaskTree()
    level: list[NodeParent] = [tree]
    for _ in range(4):
        level = [node.add_task(echo, ["x"]) for node in level for _ in range(8)]
    result = tree.apply_async()
    drawn = get(admin_client, "graph", result)["nodes"]
    assert len([node for node in drawn if "id" in node]) <= graph.MAX_NODES + 1
    counted = sum(node["count"] for node in drawn if "count" in node)
    assert counted > 0


def test_the_graph_shows_failed_nodes_or_the_way_to_them(world, admin_client):
    """They may be among many siblings, or deeper than what is drawn."""
    tree = TaskTree()
    top = tree.add_task(echo, ["top"])
    nodes = [top.add_task(echo, [number]) for number in range(60)]
    deep = nodes[47]
    for _ in range(12):
        deep = deep.add_task(echo, ["x"])
    deep.add_task(fail, ["deep"])
    nodes[33].add_task(fail, ["near"])
    result = tree.apply_async()
    world.deliver_all("w")
    drawn = get(admin_client, "graph", result)["nodes"]
    by_key = {node["id"]: node for node in drawn if "id" in node}
    assert [node["state"] for node in by_key.values() if not node.get("top")].count("failure") == 1
    leading = {key for key, node in by_key.items() if node.get("leads")}
    assert {result[nodes[33]].id.hex, result[nodes[47]].id.hex, result[top].id.hex} <= leading
    assert len(leading) == 2 + 1 + graph.MAX_LEVELS - 2
    lowest = [node for node in by_key.values() if node.get("leads") and node["parent"] in leading][-1]
    inner = get(admin_client, "graph", result, parent=lowest["id"])["nodes"]
    assert "failure" in {node.get("state") for node in inner}


def test_the_timeline_shows_which_worker_ran_a_node_and_when(world, admin_client, monkeypatch):
    monkeypatch.setattr(timeline, "PAGE", 3)
    result = fan(3)
    assert get(admin_client, "timeline", result)["bars"] == []
    world.deliver_all("w")
    first = get(admin_client, "timeline", result)
    second = get(admin_client, "timeline", result, page=2)
    beyond = get(admin_client, "timeline", result, page=900)
    bars = [*first["bars"], *second["bars"]]
    assert (len(bars), first["pages"], second["page"]) == (5, 2, 2)
    assert beyond == second
    assert {bar["worker"] for bar in bars} == {NodeRun.objects.filter(run_id=result.id)[0].worker}
    assert all(0 <= bar["start"] <= bar["end"] for bar in bars)
    assert [bar["start"] for bar in bars] == sorted(bar["start"] for bar in bars)


@pytest.mark.parametrize("kind", KINDS)
def test_only_the_browser_may_store_a_response(world, admin_client, kind):
    answer = admin_client.get(address(kind, fan(2)))
    assert {"private", "no-cache"} <= set(answer["Cache-Control"].split(", "))


@pytest.mark.parametrize("kind", KINDS)
def test_a_response_needs_permission_to_view_runs_and_nodes(world, client, kind):
    result = fan(2)
    user = User.objects.create_user("staff", is_staff=True)
    client.force_login(user)
    assert client.get(address(kind, result)).status_code == 403
    user.user_permissions.add(Permission.objects.get(codename="view_treerun"))
    response = client.get(address(kind, result, nodes=result.children[0].id.hex))
    if kind == "live":
        # The user may view the run, but not its nodes.
        assert (response.json()["rows"], response.json()["gone"]) == ({}, [])
        assert "tasktree-errors" not in response.json()["html"]
    else:
        assert response.status_code == 403
    client.logout()
    assert client.get(address(kind, result)).status_code == 302


@pytest.mark.parametrize("kind", ["rows", "graph"])
@pytest.mark.parametrize("parent", ["nonsense", "01a20aff-1ea3-7d5d-ae7d-5bc91918ad1e"])
def test_a_parent_outside_the_run_is_not_found(world, admin_client, kind, parent):
    other = fan(1).children[0].id
    result = fan(2)
    assert admin_client.get(address(kind, result, parent=parent)).status_code == 404
    assert admin_client.get(address(kind, result, parent=other)).status_code == 404


def test_texts_are_escaped(world, admin_client):
    tree = TaskTree("<b>bold</b>")
    tree.add_task(fail, ["<script>alert(1)</script>"])
    result = tree.apply_async()
    world.deliver_all("w")
    live = get(admin_client, "live", result)["html"]
    rows = get(admin_client, "rows", result)["html"]
    assert "<script>" not in live + rows
    assert "&lt;script&gt;" in live
    assert json.dumps(get(admin_client, "graph", result))
