"""The task of map nodes: it makes the children of the node, one for each item."""

from collections.abc import Collection, Iterator, Set
from dataclasses import replace
from itertools import islice
from typing import Any

from django_tasktree.builder.own_tasks import MAP
from django_tasktree.builder.template import Copies, Template, children, number_of_children
from django_tasktree.builder.tolerance import tolerated
from django_tasktree.client.decorators import task_with_callbacks
from django_tasktree.conf import settings
from django_tasktree.encoding import serialization
from django_tasktree.encoding.items import items_of
from django_tasktree.encoding.nested import find_all
from django_tasktree.encoding.references import Reference
from django_tasktree.engine.lifecycle.expand import (
    complete_children,
    insert_children,
    made_children,
    remove_children,
)
from django_tasktree.engine.transitions import nodes
from django_tasktree.engine.types import NodeRef
from django_tasktree.exceptions import BrokenReference, InvalidOption, NotPossible, SerializationError
from django_tasktree.worker.arguments import with_results
from django_tasktree.worker.context import RunningNode, current_node


@task_with_callbacks(name=MAP)
def make_children(task: str) -> int:  # noqa: ARG001  it describes the node
    """Make the children of a map node from its template; they start when this task has ended.

    Args:
        task: the name of the task of the children.

    Returns:
        The number of children, without gather nodes.

    Raises:
        BrokenReference, InvalidOption, SerializationError: the items are no list, or an item can't be an argument.
        NotPossible: the run or the subtree was ended before all children were made.
    """
    node = current_node()
    template = nodes().values_list("template", flat=True).get(id=node.id)
    if template is None:
        # The items were known, so that the children were inserted with this node.
        return int(nodes().under(node.run_id, node.id).filter(is_gather=False).count())
    return _make(node, Template.read(template))


def _make(node: RunningNode, template: Template) -> int:
    # Rows of models stay stand-ins: only the tasks of the children need the rows.
    over = serialization.loads(template.over)
    items = items_of(with_results(node.run_id, over))
    number = number_of_children(len(items), template.batch)
    may_fail = tolerated(template.tolerate, number)
    done = made_children(node.ref)
    if done and _may_be_others(over, items):
        remove_children(node.ref)
        done = 0
    parts = enumerate(children(items, template.batch))
    try:
        _insert(node.ref, islice(parts, done, None), Copies(template.nodes, node.id), may_fail)
    except (BrokenReference, InvalidOption, SerializationError):
        # An item does not fit: all or none.
        remove_children(node.ref)
        raise
    # Let what ends the attempt know how many children there are.
    node.ref = replace(node.ref, child_count=complete_children(node.ref, number, may_fail))
    return number


def _insert(node: NodeRef, numbered: Iterator[tuple[int, Any]], copies: Copies, may_fail: int | None) -> None:
    """Insert the children for some items with their numbers, batch by batch."""
    while some := list(islice(numbered, settings.batch_size)):
        specs = [spec for position, part in some for spec in copies.of(part, position)]
        if not insert_children(node, specs, some[0][0], may_fail):
            # Not a success: a retry has to make the other children.
            raise NotPossible("the run, or the subtree, was ended before the map had made all children: retry it")


def _may_be_others(over: Any, items: Collection[Any]) -> bool:
    """Return whether an earlier attempt may have got other items, or the same in another order.

    The result of a node stays the same, but the results of several nodes are those that there are, as for gather nodes
    with a quorum; and each process has an order of its own for the items of a set.
    """
    return isinstance(items, Set) or any(reference.kind != "output" for reference in find_all(over, Reference))
