"""What happens when more children of a map fail than it tolerates, one outcome after the other."""

from contextlib import contextmanager
from types import SimpleNamespace

import pytest
from django.db import transaction

from django_tasktree import TaskTree
from django_tasktree.engine.lifecycle import tolerance
from django_tasktree.engine.lifecycle.claim import claim
from django_tasktree.engine.lifecycle.finish import finish
from django_tasktree.engine.lifecycle.settle import settle
from django_tasktree.models import NodeRun
from tests.integration.engine.trees import FAILURE, SUCCESS, insert_run, ref
from tests.sample.tasks import echo

pytestmark = pytest.mark.usefixtures("database")


@pytest.mark.parametrize("on_failure", ["terminate", "continue"])
def test_children_that_are_running_are_terminated(on_failure):
    tree = TaskTree()
    pages = tree.map(echo, over=range(3), tolerate=0, on_failure=on_failure)
    _, keys = insert_run(tree)
    claim(ref(keys[pages]), "w")
    finish(ref(keys[pages]), SUCCESS)
    children = list(NodeRun.objects.filter(parent_id=keys[pages]).order_by("position").values_list("id", flat=True))
    for key in children:
        claim(ref(key), "w")
    node = ref(children[0])
    finish(node, FAILURE)
    # Nothing is left to revoke: the others are running.
    settled = settle(node.run_id, node.parent_id, failed=True)
    assert settled.stopped
    assert settled.terminates_below == (keys[pages] if on_failure == "terminate" else None)
    node = ref(children[1])
    finish(node, FAILURE)
    # Once is enough.
    assert settle(node.run_id, node.parent_id, failed=True).terminates_below is None


def test_nodes_are_revoked_together_with_those_above_them(monkeypatch, settings):
    """A revoked node is settled, so that its map may settle at once, and the run may end."""
    settings.TASKTREE = {"BATCH_SIZE": 2}
    tree = TaskTree()
    pages = tree.map(echo, over=range(5), tolerate=0)
    pages.each.add_task(echo).add_task(echo)
    _, keys = insert_run(tree)
    claim(ref(keys[pages]), "w")
    finish(ref(keys[pages]), SUCCESS)
    child = ref(NodeRun.objects.get(parent_id=keys[pages], position=2).id)
    claim(child, "w")
    finish(child, FAILURE)
    left_below = []

    @contextmanager
    def looking_afterwards(using):
        with original(using=using):
            yield
        left_below.append(NodeRun.objects.filter(settled=False, parent__state="REVOKED").count())

    original = transaction.atomic
    monkeypatch.setattr(tolerance, "transaction", SimpleNamespace(atomic=looking_afterwards))
    assert settle(child.run_id, child.id).stopped
    # The failures are counted; then two batches of children.
    assert left_below == [0, 0, 0]
    assert NodeRun.objects.filter(state="REVOKED").count() == 4 * 3
