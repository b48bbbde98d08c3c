"""Queue or skip the children of a finished node."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

from django.db.models import Exists, Q

from django_tasktree.conf import settings
from django_tasktree.encoding import times
from django_tasktree.engine.backends.children import RULES, pending_children, queue_nodes, start_child
from django_tasktree.engine.database_retries import retry_transient
from django_tasktree.engine.rules import FOLLOWING, IS_TASK, MAY_START, RUN_LETS_START
from django_tasktree.engine.transitions import move, nodes, runs
from django_tasktree.engine.types import DISPATCH_COLUMNS, Dispatch, NodeRef, Outcome, Released, Taker
from django_tasktree.models.querysets import NodeRunQuerySet
from django_tasktree.states import NodeState, RunState, RunWhen

_PENDING = (NodeState.PENDING,)
#: The states of nodes that are queued, or wait.
_QUEUED = (NodeState.QUEUED, NodeState.WAITING)
_TASKS_ARE_QUEUED = [(IS_TASK.q(), NodeState.QUEUED)]


def release_children(node: NodeRef, outcome: Outcome, taker: Taker | None = None) -> Released:
    """Queue the children whose ``run_when`` fits the outcome and skip the others, in the caller's transaction.

    Children that fit but may not start now become runnable. Gather nodes stay PENDING, as `settle` starts them, but
    ``skip_children`` skips them too.

    Args:
        node: the finished node.
        outcome: its outcome.
        taker: see :func:`django_tasktree.engine.lifecycle.finish.finish`.

    Returns:
        The queued children. If there are more than ``batch_size`` children, they are read in pages while the caller
        publishes them, after commit.
    """
    if outcome.state == NodeState.SKIPPED:
        return Released(settled=True)
    fits = frozenset() if outcome.skip_children else FOLLOWING[outcome.state]
    limit = settings.batch_size
    rows = pending_children(node, limit + 1)
    if len(rows) > limit:
        return _release_wide(node, fits, outcome.skip_children)
    fitting = [_may_start(row) for row in rows if not row[0] and row[1] in fits]
    queued = [dispatch for dispatch, is_free in fitting if is_free]
    runnable = [dispatch.id for dispatch, is_free in fitting if not is_free]
    # StopPropagation (skip_children) skips gather nodes too: then no child fits.
    skipped = [row[len(RULES)] for row in rows if row[1] not in fits and (outcome.skip_children or not row[0])]
    taken = None
    if taker is not None and len(fitting) == len(queued) == 1 and queued[0].lane == taker.lane:
        taken = queued.pop() if start_child(queued[0], taker, outcome.at) else None
    if queued and not queue_nodes([dispatch.id for dispatch in queued]):
        # An action has revoked all of them in the meantime: the caller settles.
        queued.clear()
    if runnable:
        make_runnable(nodes().filter(id__in=runnable))
    if skipped:
        skip(nodes().filter(id__in=skipped))
    return Released(queued, bool(runnable), taken=taken)


def _may_start(row: tuple[Any, ...]) -> tuple[Dispatch, bool]:
    """Return a pending child, and whether it may start."""
    *columns, run_state = row
    dispatch = Dispatch.of_columns(columns[len(RULES) :])
    named = dict(zip(RULES, columns, strict=False))
    given = {**named, "run__state": run_state, "limit_scope_id": dispatch.limit_scope_id}
    return dispatch, MAY_START.holds(given)


def _queue(pending: NodeRunQuerySet) -> int:
    """Queue the nodes that are still PENDING. The next attempt uses the task ID in the node's row.

    A wait node begins to wait instead. It is returned, and counted, among the queued nodes.

    Returns:
        How many nodes were queued.
    """
    values = {"runnable": False, "queued_at": times.now(), "resend_count": 0}
    return move(pending, _PENDING, NodeState.WAITING, _TASKS_ARE_QUEUED, **values)


def make_runnable(pending: NodeRunQuerySet) -> int:
    """Make the nodes that are still PENDING runnable: ``advance`` queues them when they may start.

    Returns:
        How many nodes are runnable.
    """
    return pending.filter(state=NodeState.PENDING).update(runnable=True)


def skip(pending: NodeRunQuerySet) -> int:
    """Skip the nodes that are still PENDING. Nothing below them will run, so they are settled at once.

    Returns:
        How many nodes were skipped.
    """
    return move(pending, _PENDING, NodeState.SKIPPED, settled=True, finished_at=times.now())


def _release_wide(node: NodeRef, fits: frozenset[RunWhen], skip_all: bool) -> Released:
    """Release more children than fit in one batch: select them by condition instead of by ID."""
    children = nodes().under(node.run_id, node.id)
    tasks = Q(is_gather=False)
    skip(children.filter(Q() if skip_all else tasks).exclude(run_when__in=fits))
    going = Exists(runs().filter(RUN_LETS_START.q(of="run"), id=node.run_id))
    fitting_ones = children.filter(tasks, run_when__in=fits)
    queued = _queue(fitting_ones.filter(going, MAY_START.given(run__state=RunState.STARTED).q()))
    runnable = make_runnable(fitting_ones)
    return Released(queued_children(node.run_id, node.id) if queued else (), bool(runnable))


def queued_children(run_id: UUID, parent_id: UUID | None) -> Iterator[Dispatch]:
    """Read the queued children of a node, or the queued root nodes of a run, in pages, in order; also waiting ones.

    Children that a worker has claimed in the meantime are left out, as their message has arrived.

    Args:
        run_id: the run.
        parent_id: the node; None for root nodes.

    Yields:
        The children, to be published.
    """
    after = -1
    queued: Any = nodes().under(run_id, parent_id).filter(state__in=_QUEUED).in_order()

    def page() -> list[Any]:
        some = queued.filter(position__gt=after)
        return list(some.values_list("position", *DISPATCH_COLUMNS)[: settings.batch_size])

    while rows := retry_transient(page):
        for _, *columns in rows:
            yield Dispatch.of_columns(columns)
        after = rows[-1][0]
