"""The place in a tree to which the next part of a canvas is added."""

from dataclasses import dataclass
from typing import Any

from django_tasktree.builder.nodes import NodeParent, TaskTreeNode


@dataclass(frozen=True)
class Slot:
    """Where the next part is added.

    Attributes:
        parent: the tree or node to which it is added.
        gathers: whether it is added as a gather node, which waits for everything else under the parent.
        shared: whether other parts are added to the same parent, or something waits for everything under it.
    """

    parent: NodeParent
    gathers: bool = False
    shared: bool = False

    def add(self, task: str, args: Any, kwargs: Any, options: dict[str, Any]) -> TaskTreeNode:
        """Add a node and return it; errors: see :meth:`NodeParent.add_task`."""
        add = self.parent.gather if self.gathers else self.parent.add_task
        return add(task, args, kwargs, **options)
