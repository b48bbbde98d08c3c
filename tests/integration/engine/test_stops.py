"""Stops: what docs/conditions.rst and docs/states.rst say of them."""

from django_tasktree import TaskTree
from django_tasktree.blueprint import draw
from django_tasktree.engine.claim import claim
from django_tasktree.engine.finish import finish
from django_tasktree.engine.settle import half_settled, settle
from django_tasktree.engine.specs import Outcome, Place
from django_tasktree.engine.stop import stop_subtree
from django_tasktree.models import NodeRun, TreeRun
from django_tasktree.nodes import NodeParent
from django_tasktree.states import NodeState
from tests.integration.engine.trees import FAILURE, SUCCESS, persist, ref
from tests.sample.tasks import echo


def test_a_revoked_node_that_may_fail_does_not_fail_its_run(database):
    tree = TaskTree()
    tree.add_task(echo)
    optional = tree.add_task(echo, allow_failure=True)
    launched, keys = persist(tree)
    stop_subtree(launched.run_id, keys[optional])
    first = ref(launched.dispatches[0].id)
    claim(first, "w")
    finish(first, SUCCESS)
    for start in (*half_settled(launched.run_id), None):
        settle(launched.run_id, start)
    assert TreeRun.objects.get(id=launched.run_id).state == "SUCCESS"


def test_what_a_body_adds_in_a_stopped_run_is_revoked(database):
    tree = TaskTree(on_failure="stop")
    grower, broken = tree.add_task(echo), tree.add_task(echo)
    _, keys = persist(tree)
    one, two = (ref(keys[node]) for node in (grower, broken))
    claim(one, "w")
    claim(two, "w")
    finish(two, FAILURE)
    extra = NodeParent()
    extra.add_task(echo)
    specs = tuple(draw(extra, Place(one.run_id, one.id, 0)).specs)
    finish(one, Outcome(NodeState.SUCCESS, result="1", added=specs))
    child = NodeRun.objects.get(parent_id=one.id)
    assert (child.state, child.ready) == ("REVOKED", False)
