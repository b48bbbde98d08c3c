"""Which nodes of a built tree have finished for certain when another one starts.

A node runs after those above it. A gather node, and what is below it, runs after all else under the gather node's
parent, but for the gather nodes beside it. Of no other node is it known.
"""

from collections.abc import Hashable
from typing import cast

from django_tasktree.exceptions import BrokenReference
from django_tasktree.nodes import NodeParent, TaskTreeNode
from django_tasktree.references import Output

_REMEDY = (
    "a node can be given the output of a node above it and, if it is a gather node or below one, the outputs of all "
    "that was gathered"
)
#: Longer places are cut in the middle.
_LONGEST_PLACE = 8


class Order:
    """The order of the nodes below a root. Questions take a number of steps that is logarithmic in the depth.

    Args:
        root: the tree, or what nodes were added to.
    """

    def __init__(self, root: NodeParent) -> None:
        self._nodes: list[NodeParent] = []
        self._numbers: dict[Hashable, int] = {}
        # For each node by its number: its parent's, that of an ancestor further up, its depth, and the last number
        # below it. Numbers are those of a walk in depth, so what is below a node has the numbers that follow its own.
        self._parents: list[int] = []
        self._jumps: list[int] = []
        self._depths: list[int] = []
        self._last: list[int] = []
        self._walk(root)

    def _walk(self, root: NodeParent) -> None:
        stack: list[tuple[NodeParent, int]] = [(root, 0)]
        while stack:
            node, parent = stack.pop()
            self._enter(node, parent)
            number = self._numbers[node]
            stack.extend((child, number) for child in reversed(node.children))
        # Children have higher numbers than their parents, so each is complete before its parent is told.
        for number in range(len(self._nodes) - 1, 0, -1):
            parent = self._parents[number]
            self._last[parent] = max(self._last[parent], self._last[number])

    def _enter(self, node: NodeParent, parent: int) -> None:
        number = self._numbers[node] = len(self._nodes)
        self._nodes.append(node)
        self._parents.append(parent)
        self._last.append(number)
        if number == 0:
            self._depths.append(0)
            self._jumps.append(0)
            return
        self._depths.append(self._depths[parent] + 1)
        # Two jumps of one length are joined, as in a skew-binary number (Myers, 1983).
        far = self._jumps[parent]
        joined = self._depths[parent] - self._depths[far] == self._depths[far] - self._depths[self._jumps[far]]
        self._jumps.append(self._jumps[far] if joined else parent)

    def check(self, node: TaskTreeNode, output: Output) -> None:
        """Make sure that what a node refers to has finished when the node starts.

        Raises:
            BrokenReference: it may not have, or is not in the tree; the message names both nodes.
        """
        source = output.node
        if source not in self._numbers:
            raise BrokenReference(
                f"{self._name(node)} refers to the {output.kind} of {source!r}, which is not in its tree"
            )
        if not self._has_finished(self._numbers[node], self._numbers[source], output.kind):
            raise BrokenReference(
                f"{self._name(node)} refers to the {output.kind} of {self._name(source)}, "
                f"which may not have finished by then: {_REMEDY}"
            )

    def _has_finished(self, node: int, source: int, kind: str) -> bool:
        if self._is_within(source, node):
            return False
        if self._is_within(node, source):
            # The source itself is above the node; the other kinds ask for its children.
            return kind == "output" or self._is_gather(self._branch(node, source))
        return self._is_gather(self._branch(node, source)) and not self._is_gather(self._branch(source, node))

    def _branch(self, node: int, other: int) -> int:
        """The topmost node on the way up from a node that does not have the other one below it, nor is it."""
        while not self._is_within(other, parent := self._parents[node]):
            jump = self._jumps[node]
            node = parent if self._is_within(other, jump) else jump
        return node

    def _is_within(self, node: int, top: int) -> bool:
        return top <= node <= self._last[top]

    def _is_gather(self, node: int) -> bool:
        return cast("TaskTreeNode", self._nodes[node]).rules.is_gather

    def _name(self, node: Hashable) -> str:
        """Name a node by its place, as somebody would write it who holds the tree."""
        steps: list[str] = []
        number = self._numbers[node]
        while number:
            parent = self._parents[number]
            siblings = self._nodes[parent].children
            position = next(i for i, child in enumerate(siblings) if child is self._nodes[number])
            steps.append(f".children[{position}]")
            number = parent
        if not steps:
            return "the tree"
        steps.reverse()
        if len(steps) > _LONGEST_PLACE:
            half = _LONGEST_PLACE // 2
            steps[half:-half] = [f"… {len(steps) - 2 * half} levels …"]
        return f"node tree{''.join(steps)} ({getattr(node, 'task', '')})"
