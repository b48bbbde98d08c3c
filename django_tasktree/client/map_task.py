"""The task of map nodes: it makes the children of the node, one for each item."""

from dataclasses import replace
from itertools import islice

from django_tasktree.builder.nodes import MAP
from django_tasktree.builder.template import Copies, Template, children, number_of_children
from django_tasktree.builder.tolerance import tolerated
from django_tasktree.client.decorators import task_with_callbacks
from django_tasktree.conf import settings
from django_tasktree.encoding import serialization
from django_tasktree.encoding.items import items_of
from django_tasktree.engine.lifecycle.expand import complete_children, insert_children, made_children
from django_tasktree.engine.lifecycle.stop import stop_late_children
from django_tasktree.engine.transitions import nodes
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
    """
    node = current_node()
    template = nodes().values_list("template", flat=True).get(id=node.id)
    if template is None:
        # The items were known, so that the children were inserted with this node.
        return int(nodes().under(node.run_id, node.id).filter(is_gather=False).count())
    return _make(node, Template.read(template))


def _make(node: RunningNode, template: Template) -> int:
    # Rows of models stay stand-ins: only the tasks of the children need the rows.
    items = items_of(with_results(node.run_id, serialization.loads(template.over)))
    number = number_of_children(len(items), template.batch)
    may_fail = tolerated(template.tolerate, number)
    copies = Copies(template.nodes, node.id)
    done = made_children(node.ref)
    parts = enumerate(children(items, template.batch))
    numbered = islice(parts, done, None)
    while some := list(islice(numbered, settings.batch_size)):
        specs = [spec for position, part in some for spec in copies.of(part, position)]
        if not insert_children(node.ref, specs, some[0][0], may_fail):
            stop_late_children(node.ref)
            break
    # Let what ends the attempt know how many children there are.
    node.ref = replace(node.ref, child_count=complete_children(node.ref, number, may_fail))
    return number
