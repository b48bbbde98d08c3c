"""The header by which a message names the node, and the attempt at it, that it is for.

Messages of older and newer versions of this package may be in a queue during a deploy. So the meaning of a field never
changes; a field that is unknown is ignored, and one that is missing has a default that is safe: ``children`` and
``references`` only spare the worker a query.
"""

from typing import Any
from uuid import UUID

from django_tasktree.engine.specs import Dispatch, NodeRef

#: Celery keeps custom headers through ``retry()``; the name must be none of its own.
HEADER = "tasktree"


def header_of(dispatch: Dispatch) -> dict[str, Any]:
    """Make the header of a node's message."""
    return {
        "node": dispatch.id.hex,
        "run": dispatch.run_id.hex,
        "parent": dispatch.parent_id.hex if dispatch.parent_id else None,
        "children": dispatch.child_count,
        "references": dispatch.has_references,
        **_rules(dispatch),
    }


def _rules(dispatch: Dispatch) -> dict[str, Any]:
    """What its failure stops, and what limits it or what is below it; most nodes have none of these."""
    rules = {
        "stops": dispatch.stops and dispatch.stops.hex,
        "limiter": dispatch.limiter and dispatch.limiter.hex,
        "max_active": dispatch.max_active,
    }
    return {name: value for name, value in rules.items() if value is not None}


def ref_of(dispatch: Dispatch) -> NodeRef:
    """Name the attempt that a dispatch is for."""
    return NodeRef(
        dispatch.id,
        dispatch.run_id,
        dispatch.parent_id,
        dispatch.task_id,
        dispatch.child_count,
        dispatch.stops,
        dispatch.limiter,
        dispatch.max_active,
    )


def read_header(headers: Any, task_id: str) -> NodeRef | None:
    """Read the attempt that a message is for.

    Args:
        headers: the message's headers, or anything that holds them under the same key.
        task_id: the message's task id.

    Returns:
        None where the message is for no node.
    """
    header = (headers or {}).get(HEADER)
    if not header:
        return None
    return NodeRef(
        id=UUID(hex=header["node"]),
        run_id=UUID(hex=header["run"]),
        parent_id=_key(header.get("parent")),
        task_id=UUID(task_id),
        child_count=header.get("children", 0),
        stops=_key(header.get("stops")),
        limiter=_key(header.get("limiter")),
        max_active=header.get("max_active"),
    )


def _key(text: str | None) -> UUID | None:
    return UUID(hex=text) if text else None
