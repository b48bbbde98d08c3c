"""The end of an attempt by starting a run, whose result becomes that of the node."""

from typing import Any

from celery.exceptions import Ignore

from django_tasktree.builder.tree import Tree
from django_tasktree.exceptions import InvalidOption
from django_tasktree.worker.context import RunningNode, current_node


class Replaced(Ignore):
    """Ends a task function: the node starts the run of a tree, and waits for it.

    Like Celery, which ends a replaced task with ``Ignore``, so that ``autoretry_for=(Exception,)`` does not apply.

    Args:
        tree: the tree.

    Attributes:
        tree: as above.
    """

    def __init__(self, tree: Tree) -> None:
        super().__init__(f"the node waits for a run of {tree.run_name}")
        self.tree = tree

    def __reduce__(self) -> tuple[Any, ...]:
        # A tree may be large, and what it contains may not be pickled.
        return Ignore, self.args


def replace_by(tree: Tree) -> None:
    """End the attempt of the current node by starting a run of a tree. This never returns.

    Raises:
        Replaced: always, if the node may be replaced.
        InvalidOption: nodes were added to the node.
        NotInANode: no node is running here.
    """
    check_replaceable(current_node())
    raise Replaced(tree)


def check_replaceable(node: RunningNode) -> None:
    """Check that a node can end by starting a run.

    Raises:
        InvalidOption: nodes were added to it. They would run after the result of a node that has none yet.
    """
    if node.children:
        raise InvalidOption(
            "a task function can't both add nodes to its node and replace it: add them to the tree or the canvas that "
            "replaces the node"
        )
