"""The data of the graph of a run: a part of its nodes, and the numbers of nodes that are left out.

The numbers of queries and of nodes are limited, however large the tree is. The graph has the paths to the first
failures and the first children of each node. A bundle represents the other children, with their number; the
browser opens a bundle by a request for more children.
"""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django_tasktree.admin.addresses import page_address
from django_tasktree.admin.tree.failures import keys_of_first_failures
from django_tasktree.admin.tree.row import node_rows
from django_tasktree.encoding.ids import as_uuid
from django_tasktree.engine.traversal import ancestors
from django_tasktree.models import NodeRun, TreeRun
from django_tasktree.reporting.call_texts import texts_of_siblings
from django_tasktree.reporting.not_reached import is_not_reached
from django_tasktree.reporting.numbers import whole_number

#: Limits on levels, children of a node and nodes in total. Failures, gather nodes and opened bundles may exceed the
#: last two.
MAX_LEVELS, MAX_CHILDREN, MAX_NODES = 8, 6, 150
#: The maximum numbers of open bundles, and of children of a node with an open bundle.
_MAX_BUNDLES, _MAX_OPENED = 10, 200
#: If the paths to the failures have more nodes than this in total, only the failed nodes themselves are used.
_MAX_NODES_OF_WAYS = 2_000

#: ID of a node, or None for the run itself -> IDs of its children.
Children = Mapping[UUID | None, list[Any]]


def opened_of(text: str) -> dict[str, int]:
    """Return which bundles are open, and how many children each shows.

    Args:
        text: a parameter of the URL: ``key:number,…``. Invalid parts are ignored.

    Returns:
        Hexadecimal ID of the parent -> number of children to draw.
    """
    opened = {}
    for part in text.split(",")[:_MAX_BUNDLES]:
        key, _, number = part.partition(":")
        found, count = as_uuid(key), whole_number(number)
        if found is not None and count is not None:
            opened[found.hex] = min(count, _MAX_OPENED)
    return opened


def graph_of(run: TreeRun, parent: Any, site: str, opened: Mapping[str, int] | None = None) -> dict[str, Any]:
    """Return the data of a part of the tree.

    Args:
        run: the run.
        parent: the node at the top, as returned by ``parent_of``; None for the run itself.
        site: the name of the admin site, for links.
        opened: hexadecimal ID of a node, or of the run -> number of its children to draw; see :func:`opened_of`.

    Returns:
        ``nodes``, the top one first, each with the ID of its ``parent``. A bundle has no ``id``; its ``count`` is the
        number of children that are left out.
    """
    top_id = parent.id if parent else None
    failing = _ways_to_failures(run, top_id)
    children = _drawn(run, top_id, failing, opened or {})
    total = parent.child_count if parent else NodeRun.objects.root_count(run.id)
    leads = {key for key in failing if key is not None}
    head = _head(run, parent, site)
    nodes = [head, *_below(head["id"], children.get(top_id, []), total, run, site, leads)]
    waiting = list(reversed(children.get(top_id, [])))
    while waiting:
        node = waiting.pop()
        nodes += _below(node.id.hex, children.get(node.id, []), node.child_count, run, site, leads)
        waiting.extend(reversed(children.get(node.id, [])))
    return {"nodes": nodes}


def _ways_to_failures(run: TreeRun, top_id: UUID | None) -> dict[UUID | None, list[UUID]]:
    """Return the first failures and their ancestors, by parent.

    Returns:
        ID of a node, or None for the run itself -> IDs of its children that failed, or have a failed descendant.
        Empty if it has no entry for ``top_id``.
    """
    failed = keys_of_first_failures(run)
    if not failed:
        return {}
    keys = ancestors(run.id, failed)
    if len(keys) > _MAX_NODES_OF_WAYS:
        keys = set(failed)
    ways: dict[UUID | None, list[UUID]] = defaultdict(list)
    for key, parent_id in NodeRun.objects.filter(run_id=run.id, id__in=keys).values_list("id", "parent_id"):
        ways[parent_id].append(key)
    return ways if top_id is None or top_id in ways else {}


def _drawn(
    run: TreeRun, top_id: UUID | None, failing: Children, opened: Mapping[str, int]
) -> dict[UUID | None, list[Any]]:
    """Return the nodes to draw, by parent. They are read level by level."""
    children: dict[UUID | None, list[Any]] = {}
    room = MAX_NODES
    level: list[UUID | None] = [top_id]
    wide: list[UUID] = []
    for _ in range(MAX_LEVELS):
        if not level or room <= 0:
            break
        found = _level(run, level, failing, opened, room)
        for key in level:
            mine = found.get(key, [])
            if mine:
                children[key] = mine
        nodes = [node for some in found.values() for node in some]
        room -= len(nodes)
        wide += [node.id for node in nodes if node.child_count > MAX_CHILDREN]
        level = [node.id for node in nodes if node.child_count]
    if top_id is not None:
        wide.append(top_id)
    for gather in _gather_nodes(run, [key for key in wide if key in children]):
        mine = children[gather.parent_id]
        if gather.id not in {node.id for node in mine}:
            mine.append(gather)
    return children


def _level(
    run: TreeRun, parents: list[UUID | None], failing: Children, opened: Mapping[str, int], room: int
) -> dict[UUID | None, list[Any]]:
    """Return the children of one level's nodes: those on paths to failures, and the first ones."""
    rows: dict[UUID, Any] = {}
    failed = [key for parent in parents for key in failing.get(parent, [])][:room]
    usual = [parent for parent in parents if (parent or run.id).hex not in opened]
    if failed:
        rows.update({node.id: node for node in node_rows().filter(run_id=run.id, id__in=failed)})
    if None in usual:
        rows.update({node.id: node for node in node_rows().under(run.id, None).in_order()[:MAX_CHILDREN]})
    elif usual:
        first = node_rows().filter(run_id=run.id, parent_id__in=usual, position__lt=MAX_CHILDREN)
        rows.update({node.id: node for node in first.in_order()[:room]})
    for parent in parents:
        number = opened.get((parent or run.id).hex)
        if number is not None:
            rows.update({node.id: node for node in node_rows().under(run.id, parent).in_order()[:number]})
    found: dict[UUID | None, list[Any]] = defaultdict(list)
    for node in sorted(rows.values(), key=lambda node: node.position):
        found[node.parent_id].append(node)
    return found


def _gather_nodes(run: TreeRun, wide: list[UUID]) -> list[Any]:
    """Return the gather nodes that are left out. They are important, and usually the last of many children."""
    if not wide:
        return []
    # MySQL and MariaDB use the index that begins with ``settled`` if all of its values are listed.
    gather = node_rows().filter(run_id=run.id, parent_id__in=wide, settled__in=[True, False], is_gather=True)
    return list(gather.filter(position__gte=MAX_CHILDREN).in_order()[:MAX_NODES])


def _head(run: TreeRun, parent: Any, site: str) -> dict[str, Any]:
    if parent is None:
        return {"id": run.id.hex, "parent": None, "name": str(run)[:40], "state": run.state.lower(), "top": True}
    row = node_rows().get(id=parent.id)
    return {
        **_described(row, row.title, run, site, set()),
        "parent": None,
        "top": True,
        "up": (row.parent_id and row.parent_id.hex) or "",
    }


def _below(
    parent: str, shown: list[Any], total: int, run: TreeRun, site: str, leads: set[UUID]
) -> list[dict[str, Any]]:
    if not shown:
        # The node itself shows its number of children.
        return []
    left_out = total - len(shown)
    usual = sum(not node.is_gather for node in shown)
    bundle = [{"parent": parent, "count": left_out, "shown": usual}] if left_out > 0 else []
    named = zip(shown, _names(shown), strict=True)
    return [*(_described(node, name, run, site, leads) for node, name in named), *bundle]


def _names(siblings: list[Any]) -> list[str]:
    """Return the label of each node, or a text that its siblings do not have."""
    texts = texts_of_siblings([(node.task, node.head_of_args, node.head_of_kwargs) for node in siblings])
    return [node.label or text for node, text in zip(siblings, texts, strict=True)]


def _described(node: Any, name: str, run: TreeRun, site: str, leads: set[UUID]) -> dict[str, Any]:
    return {
        "id": node.id.hex,
        "parent": node.parent_id.hex if node.parent_id else run.id.hex,
        "name": name,
        "state": "unreached" if is_not_reached(node.state, run.state) else node.state.lower(),
        "gather": node.is_gather,
        "children": node.child_count,
        "leads": node.id in leads,
        "link": page_address(site, "noderun_change", node.id),
        "run": page_address(site, "treerun_change", node.sub_run_id) if node.sub_run_id else None,
    }
