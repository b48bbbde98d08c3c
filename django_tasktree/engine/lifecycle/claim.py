"""claim: one worker takes the node before it runs the task function.

If the node may not start now, its claim is deferred: the node waits without a message.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, OuterRef, Q

from django_tasktree.encoding import times
from django_tasktree.encoding.text import LONG_NAME_LENGTH, storable
from django_tasktree.engine.backends import backend
from django_tasktree.engine.database_retries import retry_transient_flagged
from django_tasktree.engine.lifecycle.advance import advance
from django_tasktree.engine.lifecycle.stop import revoke, stop_subtree
from django_tasktree.engine.steps import AT_ONCE
from django_tasktree.engine.transitions import move, nodes, runs, write_alias
from django_tasktree.engine.types import Dispatch, NodeRef
from django_tasktree.states import CLAIMABLE, RUN_FINAL, RUN_HELD, Hold, NodeState


def claim(node: NodeRef, worker: str, worker_id: UUID | None = None) -> bool:
    """Take a queued node for one attempt. Transient database errors are retried.

    Args:
        node: the attempt that the message names.
        worker: the name of the worker that received the message.
        worker_id: the ID of the worker's row, whose heartbeats show the sweep whether the worker is alive; None if no
            worker is involved.

    Returns:
        True if the node was claimed. False if the message is a duplicate, if a later attempt has replaced this one, or
        if the node may not start now; :func:`defer_claim` handles that last case.
    """
    now = times.now()
    worker = storable(worker, LONG_NAME_LENGTH)

    def attempt(again: bool) -> bool:
        # An earlier try may have committed although its reply was lost: then this attempt has the node already.
        return backend().claim(node, worker, worker_id, now) or (again and _is_mine(node, worker_id, now))

    return retry_transient_flagged(attempt)


def _is_mine(node: NodeRef, worker_id: UUID | None, at: datetime) -> bool:
    mine = nodes().filter(id=node.id, task_id=node.task_id, state=NodeState.STARTED)
    return mine.filter(worker_id=worker_id, started_at=at).exists()


@dataclass(frozen=True, slots=True)
class Deferred:
    """The handling of a refused claim.

    Attributes:
        again: whether to claim the node again.
        revoked: whether the node was revoked: it is settled.
        dispatches: nodes to publish.
    """

    again: bool = False
    revoked: bool = False
    dispatches: Iterable[Dispatch] = ()


def defer_claim(node: NodeRef) -> Deferred:
    """Make a node wait, or revoke it, if its claim was refused because its run or subtree is paused or was ended.

    Each UPDATE is guarded by the reason, and the state is read again afterwards: a concurrent resume either sees the
    waiting node, or is seen here.

    Args:
        node: the attempt that the message named.

    Returns:
        Whether to claim the node again because it may start by now; otherwise the nodes to publish, which were resumed
        in the meantime.
    """
    mine = nodes().filter(id=node.id, task_id=node.task_id)
    if not mine.filter(state__in=CLAIMABLE).exists():
        return Deferred()
    its_run = runs().filter(id=OuterRef("run_id"))
    ended = Exists(its_run.filter(state__in=RUN_FINAL))
    with transaction.atomic(using=write_alias()):
        if revoke(mine.filter(ended | Q(hold=Hold.REVOKED), state__in=CLAIMABLE)):
            # What is below it was not revoked before if a task that ran during the stop has added it.
            stop_subtree(AT_ONCE, node.run_id, node.id)
            return Deferred(revoked=True)
    held = Exists(its_run.filter(state__in=RUN_HELD))
    deferred = move(mine.filter(held | Q(hold=Hold.PAUSED)), CLAIMABLE, NodeState.PENDING, runnable=True)
    if deferred:
        return Deferred(dispatches=advance(node.run_id))
    return Deferred(again=mine.filter(state__in=CLAIMABLE).exists())
