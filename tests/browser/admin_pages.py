"""Addresses in the admin, and runs to look at there."""

from django.urls import reverse

from django_tasktree import TaskTree
from tests.patience import until
from tests.sample.tasks import echo

RUNS = reverse("admin:django_tasktree_treerun_changelist")


def run_page(run, view=""):
    return reverse("admin:django_tasktree_treerun_change", args=[run.id]) + view


def node_page(node):
    return reverse("admin:django_tasktree_noderun_change", args=[node.id])


def arrive(page, address):
    """Wait until a page that was asked for is there and painted: Chromium drops presses that come before.

    Args:
        page: of the browser.
        address: the end of the address.
    """
    page.wait_for_url(f"**{address}")
    until(lambda: page.evaluate("performance.getEntriesByType('paint').length > 0"), "the first paint")


def wait_for_state(page, state):
    page.wait_for_selector(f"#tasktree-live .tasktree-head .tasktree-state-{state}")


def wide(children):
    """A run that has not started: a node with many below it, one of which has a child."""
    tree = TaskTree("wide")
    top = tree.add_task(echo, ["top"], countdown=600)
    for number in range(children):
        node = top.add_task(echo, [number])
        if number == 3:
            node.add_task(echo, ["deep"])
    top.gather(echo, [top.outputs])
    return tree.apply_async()
