"""Search the tree of a run by state and by text."""

import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from django_tasktree import TaskTree
from django_tasktree.admin.tree import search as tree_search
from django_tasktree.admin.tree.search import TreeSearch, found_page
from django_tasktree.models import NodeRun, TreeRun
from tests.sample.tasks import echo, fail

pytestmark = pytest.mark.django_db(transaction=True)


def page_of(result, **query):
    """Return the address of the page of a run."""
    return reverse("admin:django_tasktree_treerun_change", args=[result.id], query=query or None)


def find(client, result, **query):
    """Return the IDs of the nodes that the page lists."""
    response = client.get(page_of(result, **query))
    assert response.status_code == 200
    return re.findall(r'<tr id="node-([0-9a-f]{32})"', response.content.decode())


@pytest.fixture
def searched(world):
    """Return a run whose nodes have different texts and states, and the ID of each node."""
    tree = TaskTree("searched")
    top = tree.add_task(echo, ["top"])
    nodes = {
        "plain": top.add_task(echo, ["a plain text"]),
        "named": top.add_task(echo, label="Größe"),
        "quoted": top.add_task(echo, ['say "hello" to all']),
        "foreign": top.add_task(echo, ["Grüße, 你好"]),
        "nested": top.add_task(echo, [{"customer": "Bertha"}]),
        "failed": top.add_task(fail, ["the bank is closed"]),
        "shown": top.add_task(echo, [{"order": 7, "für": "Ünal"}]),
    }
    nodes["unreached"] = nodes["failed"].add_task(echo, ["skipped"]).add_task(echo, ["never"])
    result = tree.apply_async()
    world.deliver_all("w")
    return result, {name: result[node].id.hex for name, node in nodes.items()}


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("plain", "plain"),
        ('"hello"', "quoted"),
        ('"order": 7', "shown"),
        ('{"order": 7', "shown"),
        ('"für": "Ünal"', "shown"),
        ("ÜNAL", "shown"),
        ("ünal", "shown"),
        ("GRÜ", "foreign"),
        ("Grüße", "foreign"),
        ("你好", "foreign"),
        ("bertha", "nested"),
        ("CustomError", "failed"),
        ("BANK is", "failed"),
        ("größ", "named"),
        ("tasks.fail", "failed"),
    ],
)
def test_search_by_text(searched, admin_client, text, name):
    result, keys = searched
    assert find(admin_client, result, q=text) == [keys[name]]


def test_search_by_state_by_key_and_by_both(searched, admin_client):
    result, keys = searched
    assert find(admin_client, result, state="FAILURE") == [keys["failed"]]
    assert find(admin_client, result, state="UNREACHED") == [keys["unreached"]]
    assert find(admin_client, result, state="FAILURE", q="plain") == []
    assert find(admin_client, result, state="SUCCESS", q="plain") == [keys["plain"]]
    node = NodeRun.objects.get(id=keys["nested"])
    for key in (node.id, node.id.hex, node.task_id):
        assert find(admin_client, result, q=key) == [keys["nested"]]
    everything = set(find(admin_client, result))
    assert find(admin_client, result, parent=result.children[0].id, state="UNREACHED") == []
    assert set(find(admin_client, result, state="nonsense")) == everything
    for absurd in ("%", "_", "\\", "\x00", "\ud800".encode("utf-8", "surrogatepass"), "'; DROP TABLE", "9" * 5000):
        assert find(admin_client, result, q=absurd) == []


def test_the_page_links_to_matches_or_says_that_there_are_none(searched, admin_client):
    result, keys = searched
    html = admin_client.get(page_of(result, state="FAILURE")).content.decode()
    assert f"#node-{keys['failed']}" in html
    assert '<option value="FAILURE" selected>' in html
    nothing = admin_client.get(page_of(result, q="<b>nothing</b>")).content.decode()
    assert "No node fits." in nothing
    assert "<b>nothing" not in nothing


def test_pages_of_matches_do_not_overlap(world, admin_client, monkeypatch):
    monkeypatch.setattr(tree_search, "PAGE", 4)
    tree = TaskTree()
    for number in range(11):
        tree.add_task(echo, [f"number {number}"])
    result = tree.apply_async()
    run = TreeRun.objects.get(id=result.id)
    search: TreeSearch | None = TreeSearch(text="number")
    seen = []
    while search:
        page = found_page(run, search, "admin")
        seen.append([row.node.id for row in page.rows])
        if page.next is not None:
            assert (
                f"?{page.next.address.replace('&', '&amp;')}#tree"
                in admin_client.get(f"{page_of(result)}?{search.address}").content.decode()
            )
        search = page.next
    assert [len(part) for part in seen] == [4, 4, 3]
    assert [key for part in seen for key in part] == sorted(NodeRun.objects.values_list("id", flat=True))


def test_query_count_does_not_depend_on_the_number_of_matches(world, admin_client):
    counts = []
    for width in (10, 300):
        tree = TaskTree()
        top = tree.add_task(echo, ["top"])
        for number in range(width):
            top.add_task(echo, [f"needle {number}"])
        result = tree.apply_async()
        with CaptureQueriesContext(connection) as captured:
            assert len(find(admin_client, result, q="needle")) == min(width, tree_search.PAGE)  # type: ignore[attr-defined]
        counts.append(len(captured))
    assert counts[0] == counts[1]
