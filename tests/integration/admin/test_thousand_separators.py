"""Numbers are grouped in texts, but not in attributes and addresses, which browsers and scripts parse."""

import re

import pytest
from django.conf.locale.en import formats as english
from django.urls import reverse
from django.utils.formats import reset_format_cache

from django_tasktree import TaskTree
from django_tasktree.admin import base
from django_tasktree.admin.nodes import NodeRunAdmin
from django_tasktree.admin.tree import page as tree_page
from django_tasktree.models import HistoryEntry, NodeRun
from tests.sample.tasks import echo

pytestmark = pytest.mark.django_db(transaction=True)
_TAG = re.compile(r"<[a-z][^<>]*>")
_ATTRIBUTE = re.compile(r'([\w-]+)="([^"]*)"')
_TEXT_ATTRIBUTES = {"title", "aria-label", "aria-valuetext", "placeholder", "content"}


@pytest.fixture
def grouped(settings, monkeypatch):
    """Group the digits of every number above 9, so that small numbers suffice for the test."""
    settings.USE_THOUSAND_SEPARATOR = True
    monkeypatch.setattr(english, "NUMBER_GROUPING", 1)
    reset_format_cache()
    yield
    reset_format_cache()


def launch_many():
    """Launch a tree with many nodes, and return its run with a long history."""
    tree = TaskTree("many")
    tops = [tree.add_task(echo, [number], countdown=600) for number in range(30)]
    for number in range(12):
        tops[20].add_task(echo, [number])
    result = tree.apply_async()
    for _ in range(6):
        result.pause()
        result.resume()
    return result


def grouped_numbers(html):
    """Return the attributes that contain a grouped number."""
    return [
        (name, value)
        for tag in _TAG.findall(html)
        for name, value in _ATTRIBUTE.findall(tag)
        if name not in _TEXT_ATTRIBUTES and re.search(r"\d,\d", value)
    ]


def test_no_attribute_and_no_address_has_a_grouped_number(grouped, admin_client, monkeypatch):
    monkeypatch.setattr(tree_page, "PAGE", 2)
    # Django itself groups the number of rows of a page, in an attribute.
    monkeypatch.setattr(NodeRunAdmin, "list_per_page", 5)
    result = launch_many()
    parent = NodeRun.objects.get(run_id=result.id, child_count=12)
    run, node = result.id, parent.id
    assert HistoryEntry.objects.filter(run_id=run).count() >= 12
    page = reverse("admin:django_tasktree_treerun_change", args=[run])
    addresses = [
        f"{page}?page=11",
        f"{page}?parent={node}",
        f"{page}?q=echo",
        reverse("admin:django_tasktree_noderun_change", args=[node]),
        reverse("admin:django_tasktree_treerun_changelist"),
        reverse("admin:django_tasktree_noderun_changelist"),
        "/admin/django_tasktree/",
        reverse("admin:django_tasktree_treerun_control", args=[run, "revoke"]),
        reverse("admin:django_tasktree_treerun_launch"),
        reverse("admin:django_tasktree_treerun_launch_definition", args=["inventory"]),
        reverse("admin:django_tasktree_treerun_compose"),
        reverse("tasktree:progress", args=[run]),
    ]
    shown = ""
    for address in addresses:
        response = admin_client.get(address)
        assert response.status_code == 200, address
        assert grouped_numbers(response.content.decode()) == [], address
        shown += response.content.decode()
    for kind, query in (("live", {"nodes": node.hex}), ("rows", {"parent": node, "depth": 11}), ("rows", {"page": 11})):
        answer = admin_client.get(reverse(f"admin:django_tasktree_treerun_{kind}", args=[run], query=query)).json()
        assert grouped_numbers(answer["html"] + answer.get("history", "")) == [], kind
    # Texts do contain grouped numbers.
    assert ">1,2<" in re.sub(r"\s", "", shown)
    assert 'data-children="12"' in shown
    assert "page=12#tree" in shown


def test_the_list_of_runs_when_not_all_are_counted(grouped, admin_client, monkeypatch):
    monkeypatch.setattr(base, "MAX_LISTED", 11)
    for _ in range(13):
        TaskTree("one").apply_async()
    html = admin_client.get(reverse("admin:django_tasktree_treerun_changelist")).content.decode()
    assert grouped_numbers(html) == []
