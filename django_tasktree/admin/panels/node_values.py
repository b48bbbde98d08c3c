"""The stored result, arguments and options of a node, and the result of a run."""

import json
from typing import Any
from uuid import UUID

from django.utils.translation import gettext_lazy as _

from django_tasktree.admin.tree.values import StoredValue, referred_to
from django_tasktree.builder.template import Template
from django_tasktree.client.run_value import stored_run_value
from django_tasktree.models import NodeRun, TreeRun
from django_tasktree.reporting.call_texts import call_text

#: The maximum number of nodes in references whose names are looked up.
_MAX_NAMES = 100


def values_of(node: NodeRun) -> list[tuple[Any, StoredValue]]:
    """Return the label and the value of each, without empty ones."""
    texts = [
        (_("Result"), node.result),
        *_of_map(node),
        (_("Arguments"), node.args),
        (_("Keyword arguments"), node.kwargs),
        (_("Message options"), node.options),
    ]
    referring = [text for _label, text in texts[1:] if text] if node.has_references or node.template else []
    names = _names(referring, node.run_id) if referring else {}
    return [(label, StoredValue.of(text, names)) for label, text in texts if text not in (None, "", "[]", "{}")]


def _of_map(node: NodeRun) -> list[tuple[Any, str]]:
    """Return the items of a map node, and the calls for each of them."""
    if node.template is None:
        return []
    template = Template.read(node.template)
    calls = [call_text(each.task, each.args, each.kwargs) for each in template.nodes]
    return [(_("Items"), template.over), (_("For each item"), json.dumps(calls if calls[1:] else calls[0]))]


def result_of_run(run: TreeRun) -> StoredValue | None:
    """Return the result of a run; None if it has none yet."""
    stored = stored_run_value(run)
    return None if stored is None else StoredValue.of(stored, _names([run.returns or ""], run.id))


def _names(texts: list[str], run_id: UUID) -> dict[UUID, str]:
    """Return the names of the nodes to which stored texts refer, of at most ``_MAX_NAMES``, by ID."""
    keys = sorted({key for text in texts for key in referred_to(text)})[:_MAX_NAMES]
    nodes = NodeRun.objects.filter(id__in=keys).only("label", "task")
    return {run_id: "run", **{each.id: each.title for each in nodes}}
