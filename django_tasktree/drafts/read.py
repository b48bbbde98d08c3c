"""Convert the nodes of a run to rows."""

from typing import Any
from uuid import UUID

from django.utils.text import slugify
from django.utils.translation import gettext_noop as _

from django_tasktree.drafts.rows import NodeRow
from django_tasktree.encoding import serialization
from django_tasktree.encoding.nested import replace
from django_tasktree.encoding.references import Reference
from django_tasktree.encoding.text import short_name
from django_tasktree.exceptions import NotPossible
from django_tasktree.models import NodeRun, TreeRun

#: The maximum number of nodes of a tree that can be edited by hand.
MAX_NODES = 200


def read_rows(run_id: UUID) -> list[NodeRow]:
    """Return a run's nodes as rows, without those that task functions have added.

    Args:
        run_id: the run.

    Raises:
        NotPossible: if there are more than ``MAX_NODES`` nodes, one is a wait node, or one has pickled arguments.
    """
    nodes = _read_nodes(run_id)
    names = _names_in(run_id, nodes)
    return [_row(node, names) for node in nodes]


def _read_nodes(run_id: UUID) -> list[Any]:
    nodes = list(NodeRun.objects.filter(run_id=run_id, added_at_runtime=False).order_by("id")[: MAX_NODES + 1])
    if len(nodes) > MAX_NODES:
        raise NotPossible(
            _("run %(run)s has more than %(number)s nodes: too many to be edited by hand"),
            run=run_id,
            number=MAX_NODES,
        )
    if any(node.is_wait for node in nodes):
        text = _("run %(run)s has wait nodes, which can't be edited by hand: build the tree in code")
        raise NotPossible(text, run=run_id)
    return _in_order(nodes)


def read_result(run: TreeRun) -> tuple[Any, ...]:
    """Return the result of a run in the form of the rows' arguments: one value, or none.

    Raises:
        NotPossible: see :func:`read_rows`; or it is pickled.
    """
    if run.returns is None:
        return ()
    if serialization.is_pickled(run.returns):
        raise NotPossible(_("run %(run)s has a pickled result, which can't be edited by hand"), run=run.id)
    names = _names_in(run.id, _read_nodes(run.id))
    return (replace(serialization.loads(run.returns), Reference, lambda reference: _named(reference, names)),)


def _names_in(run_id: UUID, nodes: list[Any]) -> dict[UUID, str]:
    return {run_id: ""} | _names(nodes)


def _names(nodes: list[Any]) -> dict[UUID, str]:
    """Return a unique name for each node: its label or its task's short name, with a number if it is taken."""
    names: dict[UUID, str] = {}
    taken: set[str] = set()
    for node in nodes:
        base = name = slugify(node.label or "") or short_name(node.task)
        number = 1
        while name in taken:
            number += 1
            name = f"{base}-{number}"
        taken.add(name)
        names[node.id] = name
    return names


def _in_order(nodes: list[Any]) -> list[Any]:
    """Return the nodes in depth-first order, without the descendants of nodes that are not among them."""
    below: dict[UUID | None, list[Any]] = {}
    for node in sorted(nodes, key=lambda each: each.position, reverse=True):
        below.setdefault(node.parent_id, []).append(node)
    ordered, waiting = [], below.get(None, [])
    while waiting:
        node = waiting.pop()
        ordered.append(node)
        waiting.extend(below.get(node.id, []))
    return ordered


def _row(node: Any, names: dict[UUID, str]) -> NodeRow:
    if node.template is not None or node.tolerated is not None:
        refusal = _("node %(node)s is a map, which can't be edited by hand: build the tree in code")
        raise NotPossible(refusal, node=str(node))
    options = dict(_read(node, node.options, names))
    if node.on_failure != "continue":
        options["on_failure"] = node.on_failure
    if node.quorum:
        options["when"] = int(node.quorum) if node.quorum.isdigit() else node.quorum
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
        label=node.label or "",
    )


def _read(node: Any, text: str, names: dict[UUID, str]) -> Any:
    if serialization.is_pickled(text):
        refusal = _("node %(node)s has pickled arguments, which can't be edited by hand: build the tree in code")
        raise NotPossible(refusal, node=str(node))
    return replace(serialization.loads(text), Reference, lambda reference: _named(reference, names))


def _named(reference: Reference, names: dict[UUID, str]) -> dict[str, Any]:
    named: dict[str, Any] = {f"${reference.kind}": names.get(reference.node, reference.node.hex)}
    return {**named, "path": list(reference.path)} if reference.path else named
