"""Addresses of the admin's pages, and runs that they show."""

from django.urls import reverse

from django_tasktree import TaskTree
from tests.sample.tasks import echo

RUNS = reverse("admin:django_tasktree_treerun_changelist")


def run_page(run, view=""):
    """Return the address of the page of a run, with a query or a fragment."""
    return reverse("admin:django_tasktree_treerun_change", args=[run.id]) + view


def node_page(node):
    """Return the address of the page of a node."""
    return reverse("admin:django_tasktree_noderun_change", args=[node.id])


def wait_for_state(page, state):
    """Wait until the page of a run shows a state."""
    page.wait_for_selector(f"#tasktree-live .tasktree-head .tasktree-state-{state}")


def wide(children):
    """Launch a delayed root node with many children, one of which has a child itself."""
    tree = TaskTree("wide")
    top = tree.add_task(echo, ["top"], countdown=600)
    for number in range(children):
        node = top.add_task(echo, [number])
        if number == 3:
            node.add_task(echo, ["deep"])
    top.gather(echo, [top.outputs])
    return tree.apply_async()
