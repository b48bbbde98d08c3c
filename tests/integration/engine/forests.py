"""Random trees that contain other trees, as nodes of the model and as trees that can be launched."""

from collections import deque
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from hypothesis import strategies as st

from django_tasktree import TaskTree
from django_tasktree.builder.nodes import NodeParent
from django_tasktree.testing import registered
from tests.model import Shape
from tests.sample.tasks import echo

EVENTS = ("one", "two")
HOUR = timedelta(hours=1)


@dataclass(eq=False)
class Part:
    """A tree that is added to others, and that nodes start as a sub-run.

    Attributes:
        top: its nodes, of which each run has a copy.
        returns: which result it declares: ``"output"`` of its last root node, ``"outputs"`` of all, or none.
        tree: the same as a tree; one for all runs and added trees.
    """

    top: "Node"
    returns: str
    tree: Any = field(default=None, repr=False)

    def __deepcopy__(self, _memo):
        return self

    def result(self, roots):
        """Return the result of a run; LookupError: it refers to a node without one."""
        return self.output(roots) if self.returns else None

    def output(self, roots):
        """Return the result of an added tree, likewise."""
        if self.returns == "outputs":
            return outputs(roots)
        gathers = [] if self.returns else [root for root in roots if root.gather]
        return output((gathers or roots)[-1]) if roots else None


@dataclass(eq=False, repr=False)
class Node(Shape):
    """A node of the model.

    Attributes:
        added: the tree of which a copy is below it, as its first children.
        part: the index of the tree that it starts as a sub-run; None: it has a task.
        args: the nodes whose results it takes, besides those of its siblings.
    """

    added: Part | None = field(default=None, repr=False)
    part: int | None = None
    args: tuple["Node", ...] = field(default=(), repr=False)

    @property
    def roots(self):
        """The root nodes of the tree that is added below it."""
        return self.children[: len(self.added.top.children)] if self.added else []


def outputs(nodes):
    """Return the results of those of some siblings that have succeeded."""
    return [node.result for node in nodes if not node.gather and node.state == "SUCCESS"]


def output(node):
    """Return what a node's ``output`` refers to."""
    if node.added is not None:
        return node.added.output(node.roots)
    if node.state != "SUCCESS":
        raise LookupError
    return node.result


def _assemble(drawn, parts, on_failure="continue"):
    """Add each node below an earlier one, or below the tree."""
    top = Node(on_failure=on_failure)
    placed = [top]
    for number, (rules, kind, where, which, items, label) in enumerate(drawn):
        parent = placed[where % len(placed)]
        # A map has only gather nodes beside its items.
        node = _node(rules, "gather" if parent.is_map else kind, which, items, parts)
        if (parent is top or parent.added) and not node.gather and node.run_when == "failure":
            node.run_when = "always"  # refused, because the parent can't fail
        node.parent, node.result = parent, number
        if all(label != sibling.label for sibling in parent.children):
            node.label = label
        if node.wait and node.label is None:
            node.label = f"wait {number}"
        if node.gather and not node.quorum:
            node.args = tuple(other for other in parent.children[len(parent.roots) :] if other.added)
        parent.children.append(node)
        placed.append(node)
    for parent in placed:
        _limit_quorums(parent)
    return top


def _limit_quorums(parent):
    """Let quorums below a node be decided by the end of siblings alone: otherwise it is not defined when they are."""
    siblings = [child for child in parent.children if not child.gather]
    quorums = [child for child in parent.children if child.quorum]
    for gather in quorums:
        gather.quorum = min(gather.quorum, len(siblings))
    # The root nodes of an added tree, and the items of a map, are never skipped.
    for sibling in siblings if quorums and not parent.is_map else ():
        if sibling not in parent.roots:
            sibling.run_when = "always"


def _node(rules, kind, which, items, parts):
    run_when, outcome, allow_failure, on_failure, quorum = rules
    node = Node(run_when, kind == "gather", kind == "wait", outcome, allow_failure, on_failure)
    if kind == "gather":
        node.quorum = quorum
    elif kind == "wait":
        node.event = EVENTS[which % 2]
    elif kind == "run":
        node.part = which
    elif kind == "tree" and parts:
        added = node.added = parts[which % len(parts)]
        node.allow_failure, node.on_failure = False, added.top.on_failure
        _copy_below(node, added.top)
    elif items is not None:
        _make_map(node, *items)
    return node


def _copy_below(node, top):
    copied = deepcopy(top)
    for child in copied.children:
        child.parent = node
    node.children = copied.children


def _make_map(node, tolerate, outcomes, below):
    """Turn a node into a map with an item for each outcome, and with the same nodes below each item."""
    node.is_map, node.tolerate, node.allow_failure = True, tolerate, False
    if tolerate is not None:
        node.on_failure = "continue"
    for outcome, *others in outcomes:
        item = Node(outcome=outcome, parent=node, result=len(node.children))
        node.children.append(item)
        for (run_when, kind), other in zip(below, others, strict=False):
            wait = kind == "wait"
            # The nodes of all items have the timeout of the first one.
            ends = outcomes[0][1 + len(item.children)] if wait else other
            child = Node(run_when, wait=wait, outcome=ends, event=EVENTS[0] if wait else "", parent=item)
            child.part = 0 if kind == "run" else None
            child.label = f"wait {len(item.children)}" if wait else None
            item.children.append(child)


OUTCOMES = st.sampled_from(["SUCCESS", "SUCCESS", "SUCCESS", "FAILURE", "STOP", "IGNORE", "REVOKED"])
WHEN = st.sampled_from(["success", "success", "failure", "always"])
MAPS = st.tuples(
    st.sampled_from([None, 0, 1, 2]),
    st.lists(st.tuples(OUTCOMES, OUTCOMES, OUTCOMES), max_size=4),
    st.lists(st.tuples(WHEN, st.sampled_from(["task", "task", "task", "wait", "run"])), max_size=2),
)
RULES = st.tuples(
    WHEN,
    OUTCOMES,
    st.sampled_from([False, False, True]),
    st.sampled_from(["continue", "stop", "terminate"]),
    st.sampled_from([0, 0, 1, 2]),
)
NODES = st.tuples(
    RULES,
    st.sampled_from(["task", "task", "task", "task", "gather", "gather", "wait", "run", "tree"]),
    st.integers(0, 1000),
    st.integers(0, 1000),
    st.none() | st.none() | MAPS,
    # Numbers are labels, too; labels differ in case only.
    st.sampled_from([None, None, None, "a", "A", "1", "2"]),
)
PARTS = st.lists(
    st.tuples(
        st.lists(NODES, max_size=4),
        st.sampled_from(["continue", "continue", "stop"]),
        st.sampled_from(["", "output", "outputs"]),
    ),
    min_size=1,
    max_size=2,
)


@st.composite
def forests(draw):
    """Draw a tree, and the trees that it contains."""
    parts: list[Part] = []
    for drawn, on_failure, returns in draw(PARTS):
        parts.append(Part(_assemble(drawn, list(parts), on_failure), returns))
    return _assemble(draw(st.lists(NODES, max_size=25)), parts), parts


def part(number: int) -> TaskTree:
    """Stand for the trees of sub-runs."""
    return TaskTree(str(number))


def build(top):
    """Build the tree of a model."""
    tree = TaskTree(on_failure=top.on_failure)
    built: dict[Node, NodeParent] = {top: tree}
    parents = deque([top])
    while parents:
        above = parents.popleft()
        for shape in above.children[len(above.roots) :]:
            if not above.is_map or shape.gather:
                built[shape] = _add(built, built[above], shape)
                parents.append(shape)
    return tree


def _add(built, parent, shape):
    rules: dict[str, Any] = {"run_when": shape.run_when, "label": shape.label}
    if shape.added:
        return parent.add_tree(shape.added.tree, **rules)
    rules["on_failure"] = shape.on_failure
    if shape.is_map:
        return _add_map(parent, shape, rules)
    rules["allow_failure"] = shape.allow_failure
    if shape.gather:
        outputs = [parent.outputs, *(built[added].output for added in shape.args)]
        return parent.gather(echo, [outputs], when=shape.quorum or "all", **rules)
    return _add_one(parent, shape, rules)


def _add_one(parent, shape, rules):
    if shape.wait:
        ends = {"FAILURE": "failure", "IGNORE": "skip"}.get(shape.outcome, "success")
        default = shape.result if ends == "success" else None
        return parent.wait_for(shape.event, timeout=HOUR, on_timeout=ends, default=default, **rules)
    if shape.part is not None:
        return parent.add_run("part", {"number": shape.part}, **rules)
    return parent.add_task(echo, **rules)


def _add_map(parent, shape, rules):
    items = [child for child in shape.children if not child.gather]
    node = parent.map(echo, over=range(len(items)), tolerate=shape.tolerate, **rules)
    for below in items[0].children if items else ():
        _add_one(node.each, below, {"run_when": below.run_when, "label": below.label})
    return node


@contextmanager
def trees_of(parts):
    """Build the trees of sub-runs and added trees once, however often they are used."""
    with registered(part):
        for each in parts:
            each.tree = build(each.top)
            if each.returns:
                roots = each.tree.children
                each.tree.returns(each.tree.outputs if each.returns == "outputs" else returned(roots))
        yield


def returned(roots):
    return roots[-1].output if roots else None
