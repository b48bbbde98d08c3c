"""Find out whether a node can be reached: whether the nodes above it let it run, or may do so later.

Nothing follows a skipped node. Nothing follows a node that was revoked before it had an outcome of its own either; its
``hold`` is REVOKED. All nodes below such a node, at any depth, are not reached.
"""

from collections.abc import Collection
from uuid import UUID

from django.utils.translation import gettext_noop as _

from django_tasktree.engine import rules
from django_tasktree.engine.backends import backend
from django_tasktree.engine.backends.base import as_uuid
from django_tasktree.engine.literals import literal
from django_tasktree.engine.transitions import nodes
from django_tasktree.engine.traversal import LEVELS, in_batches
from django_tasktree.exceptions import NotPossible
from django_tasktree.states import Hold, NodeState

#: The rules as conditions of queries.
REACHED = rules.REACHED.q()
MAY_RUN = rules.MAY_RUN.q()

CAN_NOT_RUN = _(
    "node %(node)s can't run, because node %(last)s is %(state)s: nothing below it runs unless it is run again"
)
ADDED_IN_VAIN = _(
    "nodes added to node %(node)s would never run, because node %(last)s is %(state)s: nothing below it runs unless "
    "it is run again"
)

_WAITED_FOR = f"""
    WITH RECURSIVE above (id, parent_id, state, runnable, hold, step) AS (
        SELECT id, parent_id, state, runnable, hold, 0 FROM {{node}} WHERE id = %s
        UNION ALL
        SELECT parent.id, parent.parent_id, parent.state, parent.runnable, parent.hold, above.step + 1
        FROM {{node}} parent JOIN above ON parent.id = above.parent_id
        WHERE above.state = {literal(NodeState.PENDING)} AND NOT above.runnable AND above.step < %s
    )
    SELECT id, state, hold, step FROM above ORDER BY step DESC LIMIT 1
"""  # noqa: S608  put together from constants


def reached(ids: Collection[UUID]) -> list[UUID]:
    """Return the root nodes among some nodes, and those whose parent has finished with an outcome of its own."""
    found: list[UUID] = []
    for batch in in_batches(iter(ids)):
        found += nodes().filter(REACHED, id__in=batch).values_list("id", flat=True)
    return found


def may_run(node_id: UUID) -> bool:
    """Return whether the parent's outcome lets a node run; True for a root node."""
    return nodes().filter(MAY_RUN, id=node_id).exists()


def refuse_dead_end(node_id: UUID, refusal: str, node: UUID) -> None:
    """Raise an error if nothing below a node will ever run.

    Args:
        node_id: the node.
        refusal: the message of the error.
        node: the node that the message names.

    Raises:
        NotPossible: if the node, or the ancestor that it waits for, was skipped or was revoked before it ran.
    """
    last, state, hold = _waited_for(node_id)
    if state == NodeState.SKIPPED or (state == NodeState.REVOKED and hold == Hold.REVOKED):
        raise NotPossible(refusal, node=node, last=last, state=state)


def _waited_for(node_id: UUID) -> tuple[UUID, str, str]:
    """Return the nearest node, from a node itself upwards, that does not wait for its parent.

    Returns:
        Its ID, state and hold.
    """
    while True:
        ((key, state, hold, step),) = backend().rows(_WAITED_FOR, node_id, LEVELS)
        if step < LEVELS:
            return as_uuid(key), state, hold
        node_id = as_uuid(key)
