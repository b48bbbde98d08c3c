"""Addresses in the admin, and what pages contain and cost."""

from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from django_tasktree import TaskTree
from tests.sample.tasks import echo

RUNS = reverse("admin:django_tasktree_treerun_changelist")
NODES = reverse("admin:django_tasktree_noderun_changelist")
LAUNCH = reverse("admin:django_tasktree_treerun_launch")


def change_page(row, kind="treerun"):
    """Return the address of the page of a run, or of a row of another kind."""
    return reverse(f"admin:django_tasktree_{kind}_change", args=[row.id])


def node_page(node):
    """Return the address of the page of a node."""
    return change_page(node, "noderun")


def launch_page(name):
    """Return the address of the form that launches a definition."""
    return reverse("admin:django_tasktree_treerun_launch_definition", args=[name])


def launch_roots(*args_of_roots, name="run", task=echo):
    """Launch a tree with a root node for each list of arguments."""
    tree = TaskTree(name)
    for args in args_of_roots:
        tree.add_task(task, args)
    return tree.apply_async()


def shown(client, address):
    """Return the content of a page, without what every page has around it."""
    response = client.get(address)
    assert response.status_code == 200, address
    text = response.content.decode()
    assert "style=" not in text.partition('id="content')[2]
    return text.partition('id="content"')[2]


def query_count(client, address):
    """Return the number of queries that a page takes when it is opened again."""
    client.get(address)
    with CaptureQueriesContext(connection) as captured:
        assert client.get(address).status_code == 200
    return len(captured)
