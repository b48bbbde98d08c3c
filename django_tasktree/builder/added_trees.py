"""Copies of the nodes of a tree, below a node of another tree."""

from collections import deque
from typing import TYPE_CHECKING, Any, cast

from django_tasktree.builder.children import Parent, children_of, each_of, options_of
from django_tasktree.builder.message_options import WHERE_TO
from django_tasktree.encoding.references import moved

if TYPE_CHECKING:
    from django_tasktree.builder.nodes import AddedTreeNode, MapNode, TaskTreeNode


def options_of_first(tree: Parent) -> dict[str, Any]:
    """Return where the message of the node above a copy of a tree is sent: workers consume the queue of its nodes."""
    first = next(iter(children_of(tree)), None)
    options = {} if first is None else options_of(each_of(first) or first)
    return {name: options[name] for name in WHERE_TO if name in options}


def copy_below(tree: Any, top: "AddedTreeNode") -> None:
    """Add copies of the nodes of a tree to a node; outputs of the nodes become those of the copies."""
    copies: dict[Any, Parent] = {tree: top}
    parents: deque[Parent] = deque([tree])
    while parents:
        parent = parents.popleft()
        for original in children_of(parent):
            node = copies[original] = original.bare_copy()
            Parent._place(copies[parent], node, original.label)
            parents.append(original)
            each = each_of(original)
            if each is not None:
                copies[each] = cast("MapNode[Any]", node).each
                parents.append(each)

    top.returned, top.root_count = _result_of(tree), len(children_of(tree))
    for copied in copies.values():
        cast("TaskTreeNode[Any]", copied).rebind(lambda output: moved(output, copies))


def _result_of(tree: Any) -> Any:
    """Return the declared result of a tree, or else the output of its last gather node or root node."""
    if tree.returned:
        return tree.returned[0]
    nodes = children_of(tree)
    last = next((node for node in reversed(nodes) if node.rules.is_gather), nodes[-1] if nodes else None)
    return None if last is None else last.output
