"""Queue or skip the children of a node that has ended."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

from django.db.models import Exists, Q

from django_tasktree import times
from django_tasktree.conf import settings
from django_tasktree.engine.moves import move, nodes, write_alias
from django_tasktree.engine.specs import DISPATCH_COLUMNS, Dispatch, NodeRef, Outcome, Released
from django_tasktree.engine.transient import persist
from django_tasktree.models import TreeRun
from django_tasktree.models.querysets import NodeRunQuerySet
from django_tasktree.states import Hold, NodeState, RunState, RunWhen, fitting

_PENDING = (NodeState.PENDING,)
#: What decides on a child, beside its parent's outcome.
_RULES = ("is_gather", "run_when", "hold", "run__state")


def release_children(node: NodeRef, outcome: Outcome) -> Released:
    """Queue the children that fit the outcome and skip the others, inside the caller's transaction.

    Those that fit but may not start now become ready. Gather nodes keep waiting, unless nothing will run before them:
    that is for settle to find out.

    Returns:
        The children that were queued. Of a wide fan they are read in pages as the caller publishes them, after commit.
    """
    if outcome.state == NodeState.SKIPPED:
        return Released(settled=True)
    fits = frozenset() if outcome.stop else fitting(outcome.state)
    limit = settings.batch_size
    waiting = nodes().under(node.run_id, node.id).filter(state=NodeState.PENDING)
    rows = list(waiting.in_order().values_list(*_RULES, *DISPATCH_COLUMNS)[: limit + 1])
    if len(rows) > limit:
        return _release_wide(node, fits, outcome.stop)
    fitting_rows = [row for row in rows if not row[0] and row[1] in fits]
    queued = [dispatch for row in fitting_rows if (dispatch := _may_start(row)) is not None]
    ready = [row[len(_RULES)] for row in fitting_rows if _may_start(row) is None]
    # StopPropagation stops gather nodes too: then nothing fits.
    skipped = [row[len(_RULES)] for row in rows if row[1] not in fits and (outcome.stop or not row[0])]
    if queued:
        queue(nodes().filter(id__in=[dispatch.id for dispatch in queued]))
    if ready:
        make_ready(nodes().filter(id__in=ready))
    if skipped:
        skip(nodes().filter(id__in=skipped))
    return Released(queued, bool(ready))


def _may_start(row: tuple[Any, ...]) -> Dispatch | None:
    dispatch = Dispatch(*row[len(_RULES) :])
    free = row[2] == Hold.NONE and row[3] == RunState.STARTED and dispatch.limiter is None
    return dispatch if free else None


def queue(pending: NodeRunQuerySet) -> int:
    """Queue those nodes that are still pending; their first attempt bears the task id they were given."""
    return move(pending, _PENDING, NodeState.QUEUED, ready=False, queued_at=times.now(), resent=0)


def make_ready(pending: NodeRunQuerySet) -> int:
    """Let those nodes that are still pending be queued by ``advance``, once nothing else keeps them."""
    return pending.filter(state=NodeState.PENDING).update(ready=True)


def skip(pending: NodeRunQuerySet) -> int:
    """Skip those nodes that are still pending; nothing below them will run, so they settle."""
    return move(pending, _PENDING, NodeState.SKIPPED, settled=True, finished_at=times.now())


def _release_wide(node: NodeRef, fits: frozenset[RunWhen], stop: bool) -> Released:
    """The same by condition instead of by key, for more children than one page holds."""
    children = nodes().under(node.run_id, node.id)
    tasks = Q(is_gather=False)
    skip(children.filter(Q() if stop else tasks).exclude(run_when__in=fits))
    going = Exists(TreeRun.objects.using(write_alias()).filter(id=node.run_id, state=RunState.STARTED))
    fitting_ones = children.filter(tasks, run_when__in=fits)
    queued = queue(fitting_ones.filter(going, hold=Hold.NONE, limiter__isnull=True))
    ready = make_ready(fitting_ones)
    return Released(queued_children(node.run_id, node.id) if queued else (), bool(ready))


def queued_children(run_id: UUID, parent_id: UUID) -> Iterator[Dispatch]:
    """Read the queued children of a node in pages, in order.

    Those that a worker has claimed in the meantime are left out: their message has arrived.
    """
    after = -1
    queued: Any = nodes().under(run_id, parent_id).filter(state=NodeState.QUEUED).in_order()

    def page() -> list[Any]:
        some = queued.filter(position__gt=after)
        return list(some.values_list("position", *DISPATCH_COLUMNS)[: settings.batch_size])

    while rows := persist(page):
        for _, *columns in rows:
            yield Dispatch(*columns)
        after = rows[-1][0]
