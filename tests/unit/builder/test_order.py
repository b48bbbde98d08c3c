"""Which outputs a node may use: compared with a model that runs the tree in every possible order."""

import random
import uuid

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from django_tasktree import TaskTree
from django_tasktree.builder.nodes import NodeParent
from django_tasktree.builder.order import Order
from django_tasktree.builder.plan import plan_nodes
from django_tasktree.engine.types import Placement
from django_tasktree.exceptions import BrokenReference
from tests.sample.tasks import echo

KINDS = ("output", "outputs", "outcomes", "subtree_outputs")


def launch(tree):
    list(plan_nodes(tree, Placement(uuid.uuid4())))


def accepts(tree, node, output):
    try:
        Order(tree).check(node, output)
    except BrokenReference:
        return False
    return True


def below_itself(tree, node):
    node.children.append(node)


def below_its_child(tree, node):
    node.add_task(echo).children.append(node)


def twice(tree, node):
    tree.add_task(echo).children.append(node)


def tree_below(tree, node):
    node.children.append(tree)


def no_node(tree, node):
    tree.children.append(echo)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("change", [below_itself, below_its_child, twice, tree_below, no_node])
def test_a_list_of_children_that_was_changed_to_no_tree_is_refused(change):
    tree = TaskTree()
    change(tree, tree.add_task(echo))
    for start in (lambda: launch(tree), tree.apply_async):
        with pytest.raises(
            ValueError, match=r"in the tree already: .* add nodes with add_task\(\)|which is not a node"
        ):
            start()


# Of each node: the number of its parent among the earlier nodes, and whether it is a gather node.
TREES = st.lists(st.tuples(st.integers(0, 1000), st.booleans()), min_size=1, max_size=9)


def build(drawn):
    tree = TaskTree()
    nodes = [tree]
    for place, gather in drawn:
        parent = nodes[place % len(nodes)]
        nodes.append(parent.gather(echo) if gather else parent.add_task(echo))
    return tree, nodes


def parents_first(parent):
    return [node for child in parent.children for node in (child, *parents_first(child))]


def has_settled(node, finished):
    return all(below in finished for below in (node, *parents_first(node)))


def may_start(node, finished):
    """Apply the rules to one node."""
    parent = node.parent
    if isinstance(parent, TaskTree) or parent in finished:
        tasks = [child for child in parent.children if not child.rules.is_gather]
        return not node.rules.is_gather or all(has_settled(task, finished) for task in tasks)
    return False


def finished_before(tree):
    """Return for each node the nodes that have finished when it starts, in every possible order."""
    everything = set(parents_first(tree))
    before = {}
    for node in everything:
        # If the node cannot start before the other has finished, the other has finished when the node starts.
        before[node] = {other for other in everything - {node} if not reaches_without(tree, node, other)}
    return before


def reaches_without(tree, node, other):
    """Return whether a node can start while another one has not finished."""
    finished = set()
    while True:
        new = {one for one in parents_first(tree) if one not in finished and one != other and may_start(one, finished)}
        if node in new:
            return True
        if not new:
            return False
        finished |= new


def expected(tree, before, node, source, kind):
    if kind == "output":
        return source in before[node]
    # The children must have settled, because nodes below them can still add outputs.
    own = {source} - {tree}
    children = [child for child in source.children if not child.rules.is_gather]
    return own | {*children, *(below for child in children for below in parents_first(child))} <= before[node]


def complete(source):
    """Add a task to a node that has none, so that it has outputs to refer to."""
    if all(child.rules.is_gather for child in source.children):
        source.add_task(echo)


@settings(max_examples=150)
@given(drawn=TREES)
def test_exactly_the_outputs_of_finished_nodes_are_accepted(drawn):
    tree, nodes = build(drawn)
    for source in nodes:
        complete(source)
    before = finished_before(tree)
    for node in parents_first(tree):
        for source in [tree, *parents_first(tree)]:
            kinds = KINDS if source.children else KINDS[:1]
            for kind in kinds[1:] if source is tree else kinds:
                wanted = expected(tree, before, node, source, kind)
                assert accepts(tree, node, getattr(source, kind)) == wanted, (node, source, kind)


@settings(max_examples=100)
@given(drawn=TREES, seed=st.integers(0, 999))
def test_accepted_outputs_have_finished_in_any_run(drawn, seed):
    """Compare with runs instead of the model: nodes end one by one, in random order."""
    tree, _ = build(drawn)
    chance, finished = random.Random(seed), set()
    while able := [node for node in parents_first(tree) if node not in finished and may_start(node, finished)]:
        for node in able:
            accepted = {other for other in parents_first(tree) if accepts(tree, node, other.output)}
            assert accepted <= finished
        finished.add(chance.choice(able))
    assert finished == {*parents_first(tree)}


@pytest.mark.parametrize("kind", KINDS)
def test_a_node_cannot_use_its_own_output(kind):
    tree = TaskTree()
    node = tree.add_task(echo)
    gather = tree.gather(echo)
    assert not accepts(tree, node, getattr(node, kind))
    assert not accepts(tree, gather, getattr(gather, kind))


def test_the_message_names_both_nodes():
    tree = TaskTree()
    first = tree.add_task(echo)
    below = first.add_task(echo)
    tree.add_task(echo).add_task("tests.sample.tasks.total", [[below.output["rows"][0]]])
    with pytest.raises(BrokenReference) as caught:
        launch(tree)
    assert str(caught.value) == (
        "node tree.children[1].children[0] (tests.sample.tasks.total) refers to the output of node "
        "tree.children[0].children[0] (tests.sample.tasks.echo), which may not have finished by then: a node can use "
        "the output of a node above it and, if it is a gather node or below one, the outputs of everything that was "
        "gathered"
    )


def test_the_message_about_outputs_of_the_tree():
    tree = TaskTree()
    tree.add_task(echo, [tree.outputs])
    with pytest.raises(BrokenReference, match=r"node tree\.children\[0\] .* refers to the outputs of the tree, which"):
        launch(tree)


def test_a_deep_path_is_shortened_in_the_message():
    tree = TaskTree()
    other = tree.add_task(echo)
    for _ in range(99):
        tree.push(echo)
    tree.push(echo, [other.output])
    with pytest.raises(BrokenReference) as caught:
        launch(tree)
    place = ".children[1]" + 3 * ".children[0]" + "… 92 levels …" + 4 * ".children[0]"
    assert str(caught.value).startswith(f"node tree{place} (")


def test_outputs_of_a_popped_node_are_refused():
    tree = TaskTree()
    tree.push(echo)
    popped = tree.pop()
    tree.push(echo, [popped.output])
    with pytest.raises(BrokenReference, match="which is not in its tree"):
        launch(tree)


def test_a_refused_tree_can_be_repaired_and_launched():
    tree = TaskTree()
    one = tree.add_task(echo)
    tree.push(echo, [one.output])
    with pytest.raises(BrokenReference):
        launch(tree)
    tree.pop()
    tree.gather(echo, [one.output])
    launch(tree)


def a_chain_of_parents():
    tree = TaskTree()
    last = tree.push(echo)
    for _ in range(10_000):
        last = tree.push(echo, [last.output])
    return tree


def every_node_uses_the_root_nodes():
    tree = TaskTree()
    top = tree.add_task(echo)
    for _ in range(5_000):
        top.add_task(echo, [top.output])
    return tree


def a_gather_node_of_each_output():
    tree = TaskTree()
    top = tree.add_task(echo)
    children = [top.add_task(echo) for _ in range(5_000)]
    top.gather(echo, [[child.output for child in children]])
    return tree


def many_gather_nodes():
    tree = TaskTree()
    top = tree.add_task(echo)
    child = top.add_task(echo)
    for _ in range(5_000):
        top.gather(echo, [child.output])
    return tree


def a_chain_of_gather_nodes():
    tree = TaskTree()
    first = tree.add_task(echo)
    last: NodeParent = tree
    for _ in range(10_000):
        last = last.gather(echo, [first.output])
    return tree


def a_chain_below_which_all_outputs_are_used():
    tree = TaskTree()
    chain = [tree.push(echo) for _ in range(5_000)]
    last = tree.gather(echo, [[node.output for node in chain]])
    for _ in range(5_000):
        last = last.add_task(echo, [[chain[-1].output, tree.outputs]])
    return tree


LARGE = [
    a_chain_of_parents,
    every_node_uses_the_root_nodes,
    a_gather_node_of_each_output,
    many_gather_nodes,
    a_chain_of_gather_nodes,
    a_chain_below_which_all_outputs_are_used,
]


@pytest.mark.parametrize("build", LARGE)
def test_large_trees_take_few_steps(build, monkeypatch):
    steps = 0
    plain = Order._is_within

    def counted(self, node, top):
        nonlocal steps
        steps += 1
        return plain(self, node, top)

    monkeypatch.setattr(Order, "_is_within", counted)
    launch(build())
    assert 0 < steps < 2_000_000
