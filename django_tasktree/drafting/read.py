"""From the nodes of a run to rows."""

from typing import Any
from uuid import UUID

from django.utils.translation import gettext_noop as _

from django_tasktree import serialization
from django_tasktree.drafting.rows import NodeRow
from django_tasktree.exceptions import NotPossible
from django_tasktree.models import NodeRun
from django_tasktree.nested import replace
from django_tasktree.references import Reference
from django_tasktree.text import short_name

#: Larger trees are for code: nobody writes them by hand.
MOST_NODES = 200


def read_rows(run_id: UUID) -> list[NodeRow]:
    """Read a run's nodes as rows, without those that bodies have added.

    Raises:
        NotPossible: there are too many, or one has pickled arguments.
    """
    found = NodeRun.objects.filter(run_id=run_id, grown=False).order_by("id")[: MOST_NODES + 1]
    nodes = list(found)
    if len(nodes) > MOST_NODES:
        raise NotPossible(
            _("run %(run)s has more than %(number)s nodes: too many to be edited by hand"),
            run=run_id,
            number=MOST_NODES,
        )
    ordered = _in_order(nodes)
    names = {run_id: ""} | _names(ordered)
    return [_row(node, names) for node in ordered]


def _names(nodes: list[Any]) -> dict[UUID, str]:
    """Call each node by the last part of its task's name, numbered where there are several."""
    names: dict[UUID, str] = {}
    taken: set[str] = set()
    for node in nodes:
        base = name = short_name(node.task)
        number = 1
        while name in taken:
            number += 1
            name = f"{base}-{number}"
        taken.add(name)
        names[node.id] = name
    return names


def _in_order(nodes: list[Any]) -> list[Any]:
    """Put each node's children below it; what stands below a node that a body added is not reached."""
    below: dict[UUID | None, list[Any]] = {}
    for node in sorted(nodes, key=lambda each: each.position, reverse=True):
        below.setdefault(node.parent_id, []).append(node)
    found, waiting = [], below.get(None, [])
    while waiting:
        node = waiting.pop()
        found.append(node)
        waiting.extend(below.get(node.id, []))
    return found


def _row(node: Any, names: dict[UUID, str]) -> NodeRow:
    options = dict(_read(node, node.options, names))
    if node.on_failure != "continue":
        options["on_failure"] = node.on_failure
    if node.max_active is not None:
        options["max_active"] = node.max_active
    return NodeRow(
        name=names[node.id],
        task=node.task,
        args=list(_read(node, node.args, names)),
        kwargs=dict(_read(node, node.kwargs, names)),
        parent=names[node.parent_id] if node.parent_id else "",
        run_when=node.run_when,
        is_gather=node.is_gather,
        allow_failure=node.allow_failure,
        options=options,
    )


def _read(node: Any, text: str, names: dict[UUID, str]) -> Any:
    if serialization.is_pickled(text):
        refusal = _("node %(node)s has pickled arguments, which can't be edited by hand: build the tree in code")
        raise NotPossible(refusal, node=str(node))
    return replace(serialization.loads(text), Reference, lambda reference: _named(reference, names))


def _named(reference: Reference, names: dict[UUID, str]) -> dict[str, Any]:
    named: dict[str, Any] = {f"${reference.kind}": names.get(reference.node, reference.node.hex)}
    return {**named, "path": list(reference.path)} if reference.path else named
