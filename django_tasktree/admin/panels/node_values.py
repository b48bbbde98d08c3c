"""The stored result, arguments and options of a node."""

from typing import Any
from uuid import UUID

from django.utils.translation import gettext_lazy as _

from django_tasktree.admin.tree.values import StoredValue, referred_to
from django_tasktree.models import NodeRun

#: The maximum number of nodes in references whose names are looked up.
_MAX_NAMES = 100


def values_of(node: NodeRun) -> list[tuple[Any, StoredValue]]:
    """Return the label and the value of each, without empty ones."""
    texts = [
        (_("Result"), node.result),
        (_("Arguments"), node.args),
        (_("Keyword arguments"), node.kwargs),
        (_("Message options"), node.options),
    ]
    names = _names_of(node) if node.has_references else {}
    return [(label, StoredValue.of(text, names)) for label, text in texts if text not in (None, "", "[]", "{}")]


def _names_of(node: NodeRun) -> dict[UUID, str]:
    """Return the names of the nodes to which a node's arguments refer, of at most ``_MAX_NAMES``, by ID."""
    keys = sorted(referred_to(node.args) | referred_to(node.kwargs))[:_MAX_NAMES]
    nodes = NodeRun.objects.filter(id__in=keys).only("label", "task")
    return {node.run_id: "run", **{each.id: each.title for each in nodes}}
