"""The message header that identifies the node; together with the task ID it identifies an attempt.

During a deploy, a queue may hold messages of older and newer versions of this package. So the meaning of a field never
changes, unknown fields are ignored, and a missing field has a safe default: ``children`` and ``references`` only save
the worker a query.
"""

from typing import Any
from uuid import UUID

from django_tasktree.engine.types import Dispatch, NodeRef

#: The name of the header. Celery keeps custom headers in ``retry()``, unless they have a name that Celery uses.
HEADER = "tasktree"


def header_of(dispatch: Dispatch) -> dict[str, Any]:
    """Return the header of a node's message."""
    return {
        "node": dispatch.id.hex,
        "run": dispatch.run_id.hex,
        "parent": dispatch.parent_id.hex if dispatch.parent_id else None,
        "children": dispatch.child_count,
        "references": dispatch.has_references,
        **({"lane": dispatch.lane} if dispatch.lane else {}),
        **({} if dispatch.label is None else {"label": dispatch.label}),
        **_scopes(dispatch),
    }


def _scopes(dispatch: Dispatch) -> dict[str, Any]:
    """Return the fields of the stop scope and of the limit; most nodes have neither."""
    scopes = {
        "stop_scope_id": dispatch.stop_scope_id and dispatch.stop_scope_id.hex,
        "limit_scope_id": dispatch.limit_scope_id and dispatch.limit_scope_id.hex,
        "max_active": dispatch.max_active,
    }
    return {name: value for name, value in scopes.items() if value is not None}


def read_header(headers: Any, task_id: str) -> NodeRef | None:
    """Return the attempt that a message is for.

    Args:
        headers: the message's headers, or a request's dict, which has the same key; may be None.
        task_id: the message's task ID.

    Returns:
        None if the message is not for a node.
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
        stop_scope_id=_key(header.get("stop_scope_id")),
        limit_scope_id=_key(header.get("limit_scope_id")),
        max_active=header.get("max_active"),
        lane=header.get("lane", ""),
        label=header.get("label"),
    )


def _key(text: str | None) -> UUID | None:
    return UUID(hex=text) if text else None
