"""A tree of a million nodes fits into memory: a node has nothing that it does not need."""

import copy
import pickle
import tracemalloc
import uuid
import weakref

import pytest

from django_tasktree import TaskTree
from django_tasktree.builder.plan import plan_nodes
from django_tasktree.engine.types import Placement
from django_tasktree.exceptions import InvalidOption
from tests.sample.tasks import add, echo, total

NODES = 20_000


def fan(nodes):
    tree = TaskTree()
    for number in range(nodes):
        tree.add_task(echo, [1000 + number])
    return tree


@pytest.fixture
def traced():
    """Trace allocations; yield a function that returns the bytes allocated now, and the most since its last call."""
    fan(10)

    def read():
        now = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        return now

    tracemalloc.start()
    yield read
    tracemalloc.stop()


def test_a_node_costs_less_than_a_kilobyte_from_adding_to_the_handle(traced):
    before, _ = traced()
    tree = fan(NODES)
    built, _ = traced()
    assert (built - before) / NODES < 350
    plan = plan_nodes(tree, Placement(uuid.uuid4()))
    assert sum(1 for _ in plan) == len(plan) == NODES
    planned, most = traced()
    # The keys, which the handle keeps; the rows are never all in memory.
    assert (planned - built) / NODES < 150
    assert (most - built) / NODES < 200


def test_references_need_a_little_more_while_the_rows_are_made(traced):
    tree = fan(NODES)
    tree.gather(total, [tree.outputs])
    plan = plan_nodes(tree, Placement(uuid.uuid4()))
    before, _ = traced()
    assert sum(1 for _ in plan) == NODES + 1
    after, most = traced()
    assert (most - before) / NODES < 250
    assert (after - before) / NODES < 10


def test_nodes_share_equal_rules_and_nothing_that_can_be_changed():
    tree = TaskTree()
    one, two = tree.add_task(echo), tree.add_task(echo)
    assert one.rules is two.rules
    assert tree.add_task(echo, max_active=1).rules is not tree.add_task(echo, max_active=2).rules
    assert tree.gather(echo).rules.is_gather
    one.kwargs["value"] = 1
    one.options["queue"] = "slow"
    one.add_task(echo)
    assert (one.kwargs, one.options, len(one.children)) == ({"value": 1}, {"queue": "slow"}, 1)
    assert (two.kwargs, two.options, two.children) == ({}, {}, [])
    two.kwargs = {"value": 2}
    assert two.kwargs == {"value": 2}


@pytest.mark.parametrize("invalid", [{"run_when": ["success"]}, {"on_failure": {}}, {"max_active": [1]}])
def test_values_that_are_not_hashable_are_refused_like_other_invalid_values(invalid):
    with pytest.raises(InvalidOption, match=f"{next(iter(invalid))}=.* is not valid"):
        TaskTree().add_task(echo, **invalid)


@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda tree: pickle.loads(pickle.dumps(tree))], ids=["copy", "pickle"]
)
def test_trees_can_be_copied(copied):
    tree = TaskTree("copied")
    node = tree.add_task(add, [1], {"y": 2}, priority=3)
    node.add_task(echo)
    tree.push(echo)
    other = copied(tree)
    (first, second) = other.children
    assert (other.name, first.task, first.args, first.kwargs) == ("copied", node.task, (1,), {"y": 2})
    assert (first.options, first.rules, first.parent) == ({"priority": 3}, node.rules, other)
    assert first.children[0].parent is first
    assert other.pop() is second
    assert len(tree.children) == 2


def test_nodes_can_be_keys_and_have_weak_references():
    tree = TaskTree()
    node, other = tree.add_task(echo), tree.add_task(echo)
    assert {node: 1, other: 2}[node] == 1
    assert weakref.ref(node)() is node
    assert weakref.ref(tree)() is tree
