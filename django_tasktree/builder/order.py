"""Determine which nodes of a tree have certainly finished when another node starts.

A node runs after all its ancestors. A gather node, and everything below it, also runs after everything else under the
gather node's parent, except sibling gather nodes and what is below these; a gather node with a quorum does not, but may
use the list of the results that there are. Nothing is guaranteed about any other node.
"""

from array import array
from collections.abc import Hashable, Iterator
from itertools import chain
from typing import cast

from django_tasktree.builder.children import children_of, each_of
from django_tasktree.builder.nodes import AddedTreeNode, NodeParent, TaskTreeNode
from django_tasktree.encoding.references import Output, target_of
from django_tasktree.exceptions import BrokenReference

_REMEDY = (
    "a node can use the output of a node above it and, if it is a gather node or below one, the outputs of "
    "everything that was gathered"
)
#: Paths with more levels than this are shortened in the middle.
_MAX_STEPS = 8


class Order:
    """The guaranteed order of the nodes below a root. The cost of a check is logarithmic in the depth.

    Args:
        root: the tree, or the object to which the nodes were added.
    """

    def __init__(self, root: NodeParent) -> None:
        self._nodes: list[NodeParent] = []
        self._numbers: dict[Hashable, int] = {}
        # By the number of a node: the number of its parent, the number of an ancestor further up (its jump), its depth,
        # and the last number below it. The numbers are in depth-first preorder, so the descendants of a node have the
        # numbers that directly follow its own.
        self._parents = array("l")
        self._jumps = array("l")
        self._depths = array("l")
        self._last = array("l")
        # The number of the nearest node of one item of a map that is the node itself or above it; 0: there is none.
        self._each = array("l")
        self._walk(root)

    def _walk(self, root: NodeParent) -> None:
        self._enter(root, 0)
        open_parents = [(0, _below(root))]
        while open_parents:
            parent, rest = open_parents[-1]
            node = next(rest, None)
            if node is None:
                open_parents.pop()
                continue
            self._enter(node, parent)
            if children_of(node) or each_of(node) is not None:
                open_parents.append((self._numbers[node], _below(node)))
        # Children have higher numbers than their parents, so each is complete before its parent is updated.
        for number in range(len(self._nodes) - 1, 0, -1):
            parent = self._parents[number]
            self._last[parent] = max(self._last[parent], self._last[number])

    def _enter(self, node: NodeParent, parent: int) -> None:
        number = self._numbers[node] = len(self._nodes)
        self._nodes.append(node)
        is_each = number > 0 and each_of(self._nodes[parent]) is node
        self._each.append(number if is_each else self._each[parent] if number else 0)
        self._parents.append(parent)
        self._last.append(number)
        if number == 0:
            self._depths.append(0)
            self._jumps.append(0)
            return
        self._depths.append(self._depths[parent] + 1)
        # Two consecutive jumps of equal length are joined to one, as in a skew-binary number (Myers, 1983).
        far = self._jumps[parent]
        joined = self._depths[parent] - self._depths[far] == self._depths[far] - self._depths[self._jumps[far]]
        self._jumps.append(self._jumps[far] if joined else parent)

    def check(self, node: TaskTreeNode, output: Output) -> None:
        """Check that the source of a reference has certainly finished when the node starts.

        Args:
            node: the node that has the reference in its arguments.
            output: the reference.

        Raises:
            BrokenReference: the source may not have finished, or is not in the tree; the message names both nodes.
        """
        source, kind = target_of(output)
        if source not in self._numbers:
            raise BrokenReference(f"{self._name(node)} refers to the {kind} of {source!r}, which is not in its tree")
        if self._is_one_of_many(self._numbers[node], self._numbers[source]):
            raise BrokenReference(
                f"{self._name(node)} refers to the {kind} of {self._name(source)}, which runs for each item of a map: "
                "use the outputs of the map, the list of all results"
            )
        if not self._has_finished(self._numbers[node], self._numbers[source], kind):
            raise BrokenReference(
                f"{self._name(node)} refers to the {kind} of {self._name(source)}, "
                f"which may not have finished by then: {self._remedy(self._numbers[node], self._numbers[source])}"
            )

    def _remedy(self, node: int, source: int) -> str:
        """Return what to do; for a node of an added tree, where its result can be used."""
        while source:
            added = self._nodes[source]
            if isinstance(added, AddedTreeNode) and not self._is_in_tree_of(added, node):
                where = self._name(added.parent) if added.parent is not None else "its parent"
                return (
                    f"it belongs to the tree that was added as {self._name(added)}, whose result can be used by a node "
                    f"that is added with gather() to {where}, and by nodes below that one"
                )
            source = self._parents[source]
        return _REMEDY

    def _is_in_tree_of(self, added: AddedTreeNode, node: int) -> bool:
        """Return whether a node is one of the added tree, and was not added to the node above that tree later."""
        top = self._numbers[added]
        if node == top or not self._is_within(node, top):
            return False
        branch = self._nodes[self._branch(node, top)]
        return any(branch is root for root in children_of(added)[: added.root_count])

    def _has_finished(self, node: int, source: int, kind: str) -> bool:
        if self._is_within(source, node):
            return False
        if self._is_within(node, source):
            # The source itself is above the node. The other kinds refer to the children of the source.
            return kind == "output" or self._is_gather(self._branch(node, source))
        branch = self._branch(node, source)
        return self._waits_for_all(branch) and not self._is_gather(self._branch(source, node))

    def _is_one_of_many(self, node: int, source: int) -> bool:
        """Return whether the source runs for each item of a map, and the node does not run for the same item."""
        return not self._is_within(node, self._each[source])

    def _branch(self, node: int, other: int) -> int:
        """Return the topmost of the node and its ancestors that is neither the other node nor above it."""
        while not self._is_within(other, parent := self._parents[node]):
            jump = self._jumps[node]
            node = parent if self._is_within(other, jump) else jump
        return node

    def _is_within(self, node: int, top: int) -> bool:
        return top <= node <= self._last[top]

    def _is_gather(self, node: int) -> bool:
        return cast("TaskTreeNode", self._nodes[node]).rules.is_gather

    def _waits_for_all(self, node: int) -> bool:
        return self._is_gather(node) and not cast("TaskTreeNode", self._nodes[node]).rules.quorum

    def _name(self, node: Hashable) -> str:
        """Return the expression that leads from the tree to a node: ``node tree.children[0] (shop.tasks.load)``."""
        steps: list[str] = []
        number = self._numbers[node]
        while number:
            parent = self._parents[number]
            steps.append(self._step(number, parent))
            number = parent
        if not steps:
            return "the tree"
        steps.reverse()
        if len(steps) > _MAX_STEPS:
            half = _MAX_STEPS // 2
            steps[half:-half] = [f"… {len(steps) - 2 * half} levels …"]
        return f"node tree{''.join(steps)} ({getattr(node, 'task', '')})"

    def _step(self, number: int, parent: int) -> str:
        node, above = self._nodes[number], self._nodes[parent]
        if each_of(above) is node:
            return ".each"
        position = next(i for i, child in enumerate(children_of(above)) if child is node)
        return f".children[{position}]"


def _below(node: NodeParent) -> Iterator[TaskTreeNode]:
    """Return the children of a node; of a map node, the node of one item comes first."""
    each = each_of(node)
    return iter(children_of(node)) if each is None else chain([each], children_of(node))
