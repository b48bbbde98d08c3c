"""What the graph of a run draws: some nodes, and how many are left out where.

However large the tree is, this takes a handful of queries and gives at most ``MOST`` nodes: of a wide fan the first
few, and one bundle that counts the others.
"""

from typing import Any

from django.urls import reverse

from django_tasktree.admin.tree_page import below
from django_tasktree.admin.tree_row import node_rows
from django_tasktree.models import NodeRun, TreeRun
from django_tasktree.states import NodeState

#: Levels below the first, children of each node, and nodes in all.
LEVELS, FEW, MOST = 8, 8, 250


def graph_of(run: TreeRun, parent: Any, site: str) -> dict[str, Any]:
    """Describe a part of the tree.

    Args:
        run: the run.
        parent: the node at the top, as ``parent_of`` reads it; None for the run itself.
        site: the name of the admin site, for links.

    Returns:
        ``nodes``, each with its ``parent``'s key, the top node first. A bundle has no ``id``, but a ``count``.
    """
    parent_id = parent.id if parent else None
    total = parent.child_count if parent else NodeRun.objects.under(run.id, None).count()
    top = list(node_rows().under(run.id, parent_id).in_order()[:FEW])
    children = below(run, top, levels=LEVELS, few=FEW, most=MOST - len(top))
    drawn = [*top, *(child for some in children.values() for child in some)]
    for gather in _gather_nodes_of_wide_fans(run, [parent] if parent else [], drawn):
        (top if gather.parent_id == parent_id else children[gather.parent_id]).append(gather)
    head = _head(run, parent, site)
    nodes = [head, *_below(head["id"], top, total)]
    waiting = list(reversed(top))
    while waiting:
        node = waiting.pop()
        nodes += _below(node.id.hex, children.get(node.id, []), node.child_count)
        waiting.extend(reversed(children.get(node.id, [])))
    return {"nodes": [_described(node, run, site) if not isinstance(node, dict) else node for node in nodes]}


def _gather_nodes_of_wide_fans(run: TreeRun, parents: list[Any], drawn: list[Any]) -> list[Any]:
    """Read those that are left out with the rest of a fan: they come last, and are what is interesting about it."""
    wide = [node.id for node in (*parents, *drawn) if node.child_count > FEW]
    if not wide:
        return []
    # Both values are named so that an index can find them.
    gather = node_rows().filter(run_id=run.id, parent_id__in=wide, settled__in=[True, False], is_gather=True)
    return list(gather.filter(position__gte=FEW).in_order()[:MOST])


def _head(run: TreeRun, parent: Any, site: str) -> dict[str, Any]:
    if parent is None:
        return {"id": run.id.hex, "parent": None, "name": str(run)[:40], "state": run.state.lower(), "top": True}
    row = node_rows().get(id=parent.id)
    return {
        **_described(row, run, site),
        "parent": None,
        "top": True,
        "up": (row.parent_id and row.parent_id.hex) or "",
    }


def _below(parent: str, shown: list[Any], total: int) -> list[Any]:
    left_out = total - len(shown)
    bundle = [{"parent": parent, "count": left_out}] if left_out > 0 else []
    return [*shown, *bundle]


def _described(node: Any, run: TreeRun, site: str) -> dict[str, Any]:
    unreached = node.state == NodeState.PENDING and run.is_over
    return {
        "id": node.id.hex,
        "parent": node.parent_id.hex if node.parent_id else run.id.hex,
        "name": node.task.rpartition(".")[2],
        "state": "unreached" if unreached else node.state.lower(),
        "gather": node.is_gather,
        "children": node.child_count,
        "link": reverse("admin:django_tasktree_noderun_change", args=[node.id], current_app=site),
    }
