"""Insert the nodes of a run: those of a launch, and those that are added to a run later."""

from collections.abc import Iterable, Iterator
from dataclasses import fields
from itertools import islice
from typing import Any
from uuid import UUID

from django_tasktree.conf import settings
from django_tasktree.encoding import times
from django_tasktree.engine.backends import backend
from django_tasktree.engine.rules import FAILURE_COUNTS
from django_tasktree.engine.transitions import begin
from django_tasktree.engine.types import NodeSpec
from django_tasktree.models import NodeRun
from django_tasktree.states import Hold, NodeState

#: The columns that each node has in its specification, and those that nodes of the same kind have in common.
_OWN = tuple(field.name for field in fields(NodeSpec))
_SHARED = tuple(field.attname for field in NodeRun._meta.concrete_fields if field.attname not in {*_OWN, "task_id"})


def lock_run_to_insert(run_id: UUID) -> None:
    """Lock a run in the transaction in which a running task adds nodes to it, before any node is written.

    Either the task sees that the run has ended, or the operation that ends it waits, and revokes the new nodes, too.
    """
    backend().share_run(run_id)


def insert_nodes(
    run_id: UUID,
    specs: Iterable[NodeSpec],
    *,
    roots: NodeState = NodeState.PENDING,
    roots_runnable: bool = False,
    hold: Hold = Hold.NONE,
    added_by: UUID | None = None,
) -> None:
    """Insert the nodes of a run. Only one batch of them is in memory at a time.

    Args:
        run_id: the run.
        specs: the nodes, each parent before its children.
        roots: the state of root nodes that are not gather nodes; all other nodes are PENDING. If it is QUEUED, wait
            nodes are WAITING instead.
        roots_runnable: whether these root nodes are runnable.
        hold: the hold of all nodes; if it is REVOKED, all nodes are inserted as REVOKED and settled.
        added_by: the node whose task function added them; its own children are marked, as a rerun of it deletes them.
    """
    for batch in _batches(specs, settings.batch_size):
        kinds = _Kinds(run_id, roots, roots_runnable, hold, added_by)
        backend().insert_nodes(_columns(batch, kinds))


def _columns(batch: list[NodeSpec], kinds: "_Kinds") -> dict[str, list[Any]]:
    """Return the values of all columns of some nodes."""
    columns = {name: [getattr(spec, name) for spec in batch] for name in _OWN}
    # The first attempt uses the node's ID as its task ID, which is unique.
    columns["task_id"] = columns["id"]
    shared = [kinds.of(spec) for spec in batch]
    return columns | {name: [getattr(row, name) for row in shared] for name in _SHARED}


class _Kinds:
    """Rows that are not inserted themselves: each has the values that all nodes of a kind begin with."""

    def __init__(self, run_id: UUID, roots: NodeState, roots_runnable: bool, hold: Hold, added_by: UUID | None) -> None:
        self._common = {"run_id": run_id, "hold": hold}
        self._added_by = added_by
        self._roots = roots
        self._roots_runnable = roots_runnable
        self._rows: dict[tuple[bool, bool, bool, bool], NodeRun] = {}

    def of(self, spec: NodeSpec) -> NodeRun:
        """Return the row for nodes of the same kind as a node."""
        is_added = self._added_by is not None and spec.parent_id == self._added_by
        kind = spec.parent_id is None and not spec.is_gather, spec.allow_failure, is_added, spec.wait is not None
        if kind not in self._rows:
            self._rows[kind] = self._begun(*kind)
        return self._rows[kind]

    def _begun(self, is_root: bool, allow_failure: bool, is_added: bool, waits: bool) -> NodeRun:
        row = NodeRun(
            runnable=is_root and self._roots_runnable,
            allow_failure=allow_failure,
            added_at_runtime=is_added,
            **self._common,
        )
        if row.hold == Hold.REVOKED:
            begin(row, NodeState.REVOKED)
            row.settled, row.subtree_failed = True, FAILURE_COUNTS.holds(row)
            return row
        state = self._roots if is_root else NodeState.PENDING
        begin(row, NodeState.WAITING if waits and state == NodeState.QUEUED else state)
        row.queued_at = None if row.state == NodeState.PENDING else times.now()
        return row


def _batches(specs: Iterable[NodeSpec], size: int) -> Iterator[list[NodeSpec]]:
    iterator = iter(specs)
    while batch := list(islice(iterator, size)):
        yield batch
