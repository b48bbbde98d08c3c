"""What happens when more children of a map fail than it tolerates, one outcome after the other."""

import pytest

from django_tasktree import TaskTree
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
