"""Whether a node can be reached: whether what has become of those above it lets it run, or may yet do so.

Nothing follows a skipped node. Nothing follows a node that a stop has revoked either: it has had no outcome of its own,
which its ``hold`` tells. What is below such a node is not reached, however deep.
"""

from collections.abc import Collection
from uuid import UUID

from django.db.models import Q
from django.utils.translation import gettext_noop as _

from django_tasktree.engine import sql
from django_tasktree.engine.moves import nodes
from django_tasktree.engine.subtree import in_batches
from django_tasktree.exceptions import NotPossible
from django_tasktree.states import NODE_FAILED, Hold, NodeState, RunWhen

#: MariaDB stops a recursive query after 1,000 levels by itself.
_LEVELS = 500

_ROOT = Q(parent__isnull=True)
_AFTER_SUCCESS = Q(parent__state=NodeState.SUCCESS)
_AFTER_FAILURE = Q(parent__state__in=NODE_FAILED) & ~Q(parent__state=NodeState.REVOKED, parent__hold=Hold.STOPPED)
#: Nodes whose parent, if they have one, has ended with an outcome of its own.
REACHED = _ROOT | _AFTER_SUCCESS | _AFTER_FAILURE
# How else a gather node's parent has ended matters to the gather node as what is under it does: settle minds that.
_FITS_SUCCESS = Q(run_when__in=[RunWhen.SUCCESS, RunWhen.ALWAYS]) | Q(is_gather=True)
_FITS_FAILURE = Q(run_when__in=[RunWhen.FAILURE, RunWhen.ALWAYS]) | Q(is_gather=True)
#: Those of them that this outcome lets run.
MAY_RUN = _ROOT | (_AFTER_SUCCESS & _FITS_SUCCESS) | (_AFTER_FAILURE & _FITS_FAILURE)

CAN_NOT_RUN = _(
    "node %(node)s can't run, because node %(last)s is %(state)s: nothing below it runs unless it is run again"
)
ADDED_IN_VAIN = _(
    "what is added to node %(node)s would never run, because node %(last)s is %(state)s: nothing below it runs unless "
    "it is run again"
)

_WAITED_FOR = """
    WITH RECURSIVE above (id, parent_id, state, ready, hold, step) AS (
        SELECT id, parent_id, state, ready, hold, 0 FROM {node} WHERE id = %s
        UNION ALL
        SELECT parent.id, parent.parent_id, parent.state, parent.ready, parent.hold, above.step + 1
        FROM {node} parent JOIN above ON parent.id = above.parent_id
        WHERE above.state = 'PENDING' AND NOT above.ready AND above.step < %s
    )
    SELECT id, state, hold, step FROM above ORDER BY step DESC LIMIT 1
"""


def reached(ids: Collection[UUID]) -> list[UUID]:
    """Give those of some nodes whose parent, if they have one, has ended with an outcome of its own."""
    found: list[UUID] = []
    for batch in in_batches(iter(ids)):
        found += nodes().filter(REACHED, id__in=batch).values_list("id", flat=True)
    return found


def may_run(node_id: UUID) -> bool:
    """Tell whether a node's parent, if it has one, has ended in a way that lets it run."""
    return nodes().filter(MAY_RUN, id=node_id).exists()


def refuse_dead_end(node_id: UUID, refusal: str, node: UUID) -> None:
    """Refuse to let something wait for a node that will never end.

    Args:
        node_id: the node.
        refusal: the sentence of the error.
        node: the node that it is about.

    Raises:
        NotPossible: the node, or the one above that it waits for, was skipped, or was revoked by a stop.
    """
    last, state, hold = _waited_for(node_id)
    if state == NodeState.SKIPPED or (state == NodeState.REVOKED and hold == Hold.STOPPED):
        raise NotPossible(refusal, node=node, last=last, state=state)


def _waited_for(node_id: UUID) -> tuple[UUID, str, str]:
    """The first node upwards, from a node itself, that does not wait for the one above it."""
    while True:
        ((key, state, hold, step),) = sql.rows(_WAITED_FOR, node_id, _LEVELS)
        if step < _LEVELS:
            return sql.as_uuid(key), state, hold
        node_id = sql.as_uuid(key)
