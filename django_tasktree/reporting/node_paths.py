"""Look up nodes by their paths, labels or positions of nodes without a label; and return the paths of nodes."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django_tasktree.encoding.labels import SEPARATOR, position_of, steps_of
from django_tasktree.exceptions import NodeNotFound
from django_tasktree.models import NodeRun

#: The maximum number of labels that an error lists.
_MAX_LISTED = 10
#: The maximum number of steps of a path that is shown: a longer one does not help people to find the node.
_MAX_STEPS = 8
_STEP = ("parent_id", "label", "position")


def node_at(path: str, run_id: UUID, parent_id: UUID | None = None) -> UUID:
    """Return the ID of the node at a path; one or two queries for each step.

    Args:
        path: labels from the top down, such as ``"load/check"``. A node without a label has its position among its
            siblings as its step, counted from 0.
        run_id: the run.
        parent_id: the node below which the path begins; None: the run.

    Raises:
        NodeNotFound: there is no such node; the message lists the labels where the path ends.
        ValueError: it is not a path.
    """
    found = parent_id
    for number, step in enumerate(steps := steps_of(path)):
        above, found = found, _child(run_id, found, step)
        if found is None:
            raise NodeNotFound(_missing(path, steps[:number], step, run_id, above))
    assert found is not None
    return found


def paths_of(node_ids: Iterable[UUID]) -> dict[UUID, str]:
    """Return the paths of nodes by their IDs, in one query.

    Nodes are left out if they do not exist, if neither they nor their ancestors have a label, or if their path has more
    than eight steps.
    """
    keys = set(node_ids)
    if not keys:
        return {}
    columns = [f"{'parent__' * step}{name}" for step in range(_MAX_STEPS) for name in _STEP]
    rows = NodeRun.objects.filter(id__in=keys).order_by().values_list("id", *columns)
    found = {key: _path(above) for key, *above in rows}
    return {key: path for key, path in found.items() if path}


def titles_of(nodes: Iterable[NodeRun]) -> dict[UUID, str]:
    """Return the names of nodes for people, by their IDs, in one query: the path of a node, or else its title."""
    titles = {node.id: node.title for node in nodes}
    return titles | paths_of(titles)


def _path(columns: list[Any]) -> str:
    """Return the path of a node, or an empty text.

    Args:
        columns: the columns ``_STEP`` of the node, of its parent, and so on; None from above the root node on.
    """
    steps: list[str] = []
    has_label = False
    for at in range(0, len(columns), len(_STEP)):
        parent_id, label, position = columns[at : at + len(_STEP)]
        steps.append(str(position) if label is None else label)
        has_label = has_label or label is not None
        if parent_id is None:
            return SEPARATOR.join(reversed(steps)) if has_label else ""
    return ""


def _child(run_id: UUID, parent_id: UUID | None, step: str) -> UUID | None:
    siblings = NodeRun.objects.under(run_id, parent_id)
    found = _first(siblings.filter(label=step))
    position = position_of(step)
    if found is None and position is not None:
        found = _first(siblings.filter(position=position, label=None))
    return found


def _first(nodes: Any) -> UUID | None:
    # Without an order: with one, SQLite would read all siblings in that order instead of the index of labels.
    found: list[tuple[int, UUID]] = list(nodes.order_by().values_list("position", "id"))
    return min(found)[1] if found else None


def _missing(path: str, before: list[str], step: str, run_id: UUID, parent_id: UUID | None) -> str:
    where = f"{SEPARATOR.join(before)!r}" if before else f"node {parent_id}" if parent_id else f"run {run_id}"
    labelled = NodeRun.objects.under(run_id, parent_id).filter(label__isnull=False)
    labels = list(labelled.order_by("label").values_list("label", flat=True)[: _MAX_LISTED + 1])
    listed = ", ".join(map(repr, labels[:_MAX_LISTED])) + (", …" if labels[_MAX_LISTED:] else "")
    has = f"the labels there are {listed}" if labels else "no node there has a label"
    return f"no node at {path!r}: there is no {step!r} below {where}; {has}"
