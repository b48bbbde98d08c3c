"""When gather nodes with a quorum start, one outcome after the other."""

import pytest

from django_tasktree import TaskTree
from django_tasktree.engine.lifecycle import quorum
from django_tasktree.engine.lifecycle.claim import claim
from django_tasktree.engine.lifecycle.finish import finish
from django_tasktree.engine.lifecycle.gathers import start_gathers
from django_tasktree.engine.lifecycle.settle import _look, settle
from django_tasktree.models import NodeRun, TreeRun
from tests.integration.engine.trees import FAILURE, SUCCESS, insert_run, ref, state
from tests.sample.tasks import echo

pytestmark = pytest.mark.usefixtures("database")


def end(key, outcome):
    """Run a node, and return the nodes that are queued after it."""
    node = ref(key)
    claim(node, "w")
    released = finish(node, outcome)
    start = node.parent_id if released.settled else node.id
    return [*released.dispatches, *settle(node.run_id, start).dispatches]


def fan(tree, parent, when, **rules):
    nodes = [parent.add_task(echo, allow_failure=True) for _ in range(4)]
    gather = parent.gather(echo, when=when, **rules)
    _, keys = insert_run(tree)
    return keys, [keys[node] for node in nodes], keys[gather]


@pytest.mark.parametrize("root", [False, True])
@pytest.mark.parametrize(
    ("when", "outcomes", "decisive"),
    [
        ("any", [FAILURE, FAILURE, SUCCESS, SUCCESS], 2),
        (2, [SUCCESS, FAILURE, SUCCESS, SUCCESS], 2),
        ("75%", [SUCCESS, SUCCESS, SUCCESS, FAILURE], 2),
        ("51%", [SUCCESS, SUCCESS, SUCCESS, FAILURE], 2),
        ("all", [SUCCESS, SUCCESS, SUCCESS, SUCCESS], 3),
    ],
)
def test_it_starts_with_the_decisive_success(root, when, outcomes, decisive):
    tree = TaskTree()
    parent = tree if root else tree.add_task(echo)
    keys, nodes, gather = fan(tree, parent, when)
    if not root:
        end(keys[parent], SUCCESS)
    for number, (node, outcome) in enumerate(zip(nodes, outcomes, strict=True)):
        queued = end(node, outcome)
        assert [dispatch.id for dispatch in queued] == ([gather] if number == decisive else [])


@pytest.mark.parametrize(
    ("when", "outcomes", "decisive"),
    [
        (4, [SUCCESS, FAILURE, SUCCESS, SUCCESS], 1),
        (3, [FAILURE, SUCCESS, FAILURE, SUCCESS], 2),
        ("any", [FAILURE] * 4, 3),
        (5, [SUCCESS] * 4, 0),
    ],
)
def test_it_is_decided_when_no_longer_enough_can_succeed(when, outcomes, decisive):
    tree = TaskTree()
    _, nodes, gather = fan(tree, tree, when)
    for node, outcome in list(zip(nodes, outcomes, strict=True))[:decisive]:
        assert end(node, outcome) == []
        assert state(gather) == "PENDING"
    assert end(nodes[decisive], outcomes[decisive]) == []
    assert state(gather) == "SKIPPED"


def test_the_parent_waits_for_all():
    tree = TaskTree()
    parent = tree.add_task(echo)
    keys, nodes, gather = fan(tree, parent, "any")
    end(keys[parent], SUCCESS)
    end(nodes[0], SUCCESS)
    end(gather, SUCCESS)
    for node in nodes[1:3]:
        end(node, SUCCESS)
    assert not NodeRun.objects.get(id=keys[parent]).settled
    end(nodes[3], SUCCESS)
    row = NodeRun.objects.get(id=keys[parent])
    assert (row.settled, row.run.state) == (True, "SUCCESS")


def test_others_wait_for_all():
    tree = TaskTree()
    nodes = [tree.add_task(echo) for _ in range(2)]
    first, last = tree.gather(echo, when="any"), tree.gather(echo)
    _, keys = insert_run(tree)
    assert [dispatch.id for dispatch in end(keys[nodes[0]], SUCCESS)] == [keys[first]]
    # It is running while the last sibling settles.
    assert claim(ref(keys[first]), "w")
    assert [dispatch.id for dispatch in end(keys[nodes[1]], SUCCESS)] == [keys[last]]
    assert end(keys[last], SUCCESS) == []
    assert NodeRun.objects.get(id=keys[first]).run.state == "STARTED"


def test_a_sibling_that_succeeds_between_two_counts(monkeypatch):
    tree = TaskTree()
    _, nodes, gather = fan(tree, tree, 2)
    end(nodes[0], SUCCESS)
    end(nodes[1], FAILURE)
    late = ref(nodes[2])
    claim(late, "w")
    claim(ref(nodes[3]), "w")
    finish(ref(nodes[3]), FAILURE)
    count = quorum.Siblings._succeeded

    def count_and_finish(*args):
        found = count(*args)
        if state(late.id) == "STARTED":
            finish(late, SUCCESS)
        return found

    monkeypatch.setattr(quorum.Siblings, "_succeeded", count_and_finish)
    assert [dispatch.id for dispatch in settle(late.run_id, None).dispatches] == [gather]


@pytest.mark.parametrize("root", [False, True])
def test_another_process_skips_it_while_the_last_sibling_ends(root):
    tree = TaskTree()
    parent = tree if root else tree.add_task(echo)
    keys, nodes, gather = fan(tree, parent, 4)
    if not root:
        end(keys[parent], SUCCESS)
    for node in nodes[1:]:
        end(node, SUCCESS)
    last = ref(nodes[0])
    claim(last, "w")
    finish(last, FAILURE)
    # This process has read that only the gather node is left; then the other one skips it.
    look = None if root else _look(keys[parent])
    run = TreeRun.objects.get(id=last.run_id)
    revision = run.revision if look is None else look.revision
    NodeRun.objects.filter(id=gather).update(state="SKIPPED", settled=True)
    read = (last.run_id, last.parent_id, look, revision)
    assert start_gathers(*read, all_settled=True, waits_for_quorum=True) is None
