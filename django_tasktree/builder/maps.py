"""The map nodes of a tree that is being built: their items, and the options of their own messages."""

from collections.abc import Mapping
from typing import Any

from celery import current_app
from django.db.models import Model, QuerySet

from django_tasktree.builder.children import options_of
from django_tasktree.builder.message_options import WHERE_TO
from django_tasktree.builder.nodes import MapNode, TaskTreeNode
from django_tasktree.builder.own_tasks import MAP
from django_tasktree.builder.routes import target_of
from django_tasktree.encoding.items import Item
from django_tasktree.encoding.nested import holds
from django_tasktree.encoding.references import Output, Reference
from django_tasktree.encoding.stand_ins import RowStandIn, refuse_composite

#: What takes the place of items, or of parts of them, until run time.
_NOT_KNOWN = (Output, Reference, Item)


def tolerates(node: TaskTreeNode[Any]) -> bool:
    """Return whether a node is a map that tolerates failures of its children."""
    return isinstance(node, MapNode) and node.tolerate is not None


def known_items(node: MapNode[Any]) -> Any:
    """Return the items of a map; None if they are known only at run time, as outputs or placeholders are among them."""
    over = node.over
    if isinstance(over, QuerySet):
        return _rows(over)
    if isinstance(over, _NOT_KNOWN):
        return None
    if isinstance(over, range):
        # Nothing is hidden in it.
        return over
    items = list(over)
    return None if holds(items, _NOT_KNOWN) else items


def late_items(node: MapNode[Any]) -> Any:
    """Return the items of a map that are not known: a list that contains outputs, or the output that contains all."""
    return node.over if isinstance(node.over, _NOT_KNOWN) else list(node.over)


def given_items(node: TaskTreeNode[Any]) -> Any:
    """Return the items of a map as they were given, in a list; nothing of a QuerySet or of another node."""
    over = node.over if isinstance(node, MapNode) else ()
    if isinstance(over, _NOT_KNOWN):
        return [over]
    return () if isinstance(over, (QuerySet, range)) else list(over)


def _rows(query: "QuerySet[Any, Any]") -> list[Any]:
    """Return what a query finds; of rows of a model only the keys, as tasks fetch the rows again."""
    model: type[Model] = query.model
    if query._iterable_class is not QuerySet(model)._iterable_class:
        # values() or values_list()
        return list(query.all())
    refuse_composite(model)
    keys = query.prefetch_related(None).values_list("pk", flat=True)
    return [RowStandIn(model._meta.label, key, query.db) for key in keys.iterator()]


def message_options(node: MapNode[Any]) -> Mapping[str, Any]:
    """Return the options of the message of a map node itself: it goes to the same queue as those of its children."""
    options = options_of(node.each)
    given = {name: options[name] for name in WHERE_TO if name in options}
    if given.keys() & {"queue", "exchange", "routing_key"}:
        return given
    own, theirs = (target_of(current_app, task, {}).queue for task in (MAP, node.each.task))
    if theirs is not None and own == current_app.conf.task_default_queue != theirs:
        # The project routes the task, but not this one: workers of its queue know the task.
        return {**given, "queue": theirs}
    return given
