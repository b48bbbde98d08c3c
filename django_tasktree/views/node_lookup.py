"""Find the node that a request names by its ID or its path."""

from functools import partial
from typing import Any
from uuid import UUID

from django.http import Http404
from django.utils.translation import gettext as _

from django_tasktree.encoding.ids import as_uuid
from django_tasktree.exceptions import NodeNotFound
from django_tasktree.models import NodeRun, TreeRun
from django_tasktree.reporting.node_paths import node_at


def find_node(run: TreeRun, text: str, *columns: str) -> NodeRun:
    """Return a node of a run, with some of its columns.

    Args:
        run: the run.
        text: the ID or the path of the node.
        *columns: the columns to read.

    Raises:
        Http404: the run has no such node.
    """
    nodes: Any = NodeRun.objects.filter(run_id=run.id).only(*columns)
    # A label may look like an ID, too.
    for find in (as_uuid, partial(_key_at, run)):
        key = find(text)
        node: NodeRun | None = nodes.filter(id=key).first() if key is not None else None
        if node is not None:
            return node
    raise Http404(_("Run %(run)s has no node %(node)s.") % {"run": run.id, "node": text})


def _key_at(run: TreeRun, path: str) -> UUID | None:
    try:
        return node_at(path, run.id)
    except (NodeNotFound, ValueError):
        return None
