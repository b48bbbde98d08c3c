"""Insert nodes in batches, parents first."""

from collections.abc import Iterable, Iterator
from itertools import islice
from uuid import UUID

from django_tasktree import times
from django_tasktree.conf import settings
from django_tasktree.engine.moves import write_alias
from django_tasktree.engine.specs import NodeSpec
from django_tasktree.models import NodeRun
from django_tasktree.states import Hold, NodeState


def insert_nodes(
    run_id: UUID,
    specs: Iterable[NodeSpec],
    *,
    roots: NodeState = NodeState.PENDING,
    roots_ready: bool = False,
    hold: Hold = Hold.NONE,
    grown: bool = False,
) -> None:
    """Insert the nodes of a run.

    Args:
        run_id: the run that they belong to.
        specs: the nodes; each parent stands before its children.
        roots: the state of nodes directly under the run (gather nodes wait in any case); all others are PENDING.
        roots_ready: whether such nodes that are PENDING are ready.
        hold: what keeps them all from starting.
        grown: whether a body added them.
    """
    manager = NodeRun.objects.using(write_alias())
    for batch in _batches(specs, settings.batch_size):
        rows = [_row(run_id, spec) for spec in batch]
        for row in rows:
            row.hold, row.grown = hold, grown
            if row.parent_id is None and not row.is_gather:
                row.state, row.ready = roots, roots_ready
                row.queued_at = times.now() if roots == NodeState.QUEUED else None
            if hold == Hold.STOPPED:
                row.state, row.settled, row.failed = NodeState.REVOKED, True, not row.allow_failure
        manager.bulk_create(rows)


def _row(run_id: UUID, spec: NodeSpec) -> NodeRun:
    return NodeRun(
        id=spec.id,
        # The first attempt's task id is the node's own: nothing else bears it.
        task_id=spec.id,
        run_id=run_id,
        parent_id=spec.parent_id,
        position=spec.position,
        child_count=spec.child_count,
        task=spec.task,
        args=spec.args,
        kwargs=spec.kwargs,
        options=spec.options,
        has_references=spec.has_references,
        run_when=spec.run_when,
        is_gather=spec.is_gather,
        allow_failure=spec.allow_failure,
        on_failure=spec.on_failure,
        max_active=spec.max_active,
        stops=spec.stops,
        limiter=spec.limiter,
    )


def _batches(specs: Iterable[NodeSpec], size: int) -> Iterator[list[NodeSpec]]:
    iterator = iter(specs)
    while batch := list(islice(iterator, size)):
        yield batch
