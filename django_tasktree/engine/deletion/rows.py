"""Delete runs or nodes with the rows that belong to them, in the caller's transaction.

The ``on_delete`` of other apps' foreign keys is applied. ``pre_delete`` and ``post_delete`` are sent if they have
receivers; if they have none, the rows are not loaded.
"""

from collections.abc import Callable, Iterator, Sequence
from uuid import UUID

from django.db.models import ProtectedError, RestrictedError
from django.db.models.deletion import Collector
from django.utils.translation import gettext_noop as _

from django_tasktree.engine.backends import backend
from django_tasktree.engine.deletion.dependents import OF_NODES, OF_RUNS, Dependents, announced
from django_tasktree.engine.transitions import nodes, runs, write_alias
from django_tasktree.engine.traversal import in_batches
from django_tasktree.exceptions import NotPossible
from django_tasktree.models import HistoryEntry, NodeAttempt, NodeCounts, RunEvent

#: The number of IDs that are read at a time.
_KEYS = 50_000

#: Called with the task IDs of all attempts at some nodes, before these are deleted.
BatchHook = Callable[[list[UUID]], None]


def delete_runs(run_ids: Sequence[UUID], on_batch: BatchHook | None = None) -> int:
    """Delete runs with their nodes.

    Args:
        run_ids: at most ``BATCH_SIZE`` IDs.
        on_batch: called for each batch of nodes.

    Returns:
        The number of deleted nodes.

    Raises:
        ProtectedError, RestrictedError: if rows of other apps prevent the deletion of a run.
    """
    deleted = runs().filter(id__in=run_ids)
    dependents = Dependents(OF_RUNS, run_ids).collect()
    with announced(deleted):
        dependents.delete()
        number = sum(_delete_nodes(batch, on_batch) for batch in _node_keys(run_ids))
        runs().filter(copy_of__in=run_ids).update(copy_of=None)
        history = HistoryEntry.objects.using(write_alias()).filter(run__in=run_ids)
        with announced(history):
            history._raw_delete(write_alias())
        events = RunEvent.objects.using(write_alias()).filter(run__in=run_ids)
        with announced(events):
            events._raw_delete(write_alias())
        NodeCounts.objects.using(write_alias()).filter(run_id__in=run_ids)._raw_delete(write_alias())
        deleted._raw_delete(write_alias())
    return number


def delete_nodes(ids: Sequence[UUID]) -> None:
    """Delete nodes of a run without the run.

    Raises:
        NotPossible: if rows of other apps prevent the deletion of a node.
    """
    for batch in in_batches(iter(ids)):
        _collect(batch).delete()
        _delete_nodes(batch)


def refuse_kept(ids: Sequence[UUID]) -> None:
    """Raise an error if nodes can't be deleted.

    Raises:
        NotPossible: if rows of other apps prevent the deletion of a node.
    """
    for batch in in_batches(iter(ids)):
        _collect(batch)


def _collect(ids: Sequence[UUID]) -> Collector:
    try:
        return Dependents(OF_NODES, ids).collect()
    except (ProtectedError, RestrictedError) as exc:
        text = _("nodes that would have to be deleted are kept: %(reason)s")
        raise NotPossible(text, reason=kept_by(exc)) from exc


def kept_by(exc: ProtectedError | RestrictedError) -> str:
    """Return the reason why rows can't be deleted, in one line."""
    return str(exc.args[0])


def _node_keys(run_ids: Sequence[UUID]) -> Iterator[list[UUID]]:
    """Yield the IDs of the nodes in batches, the newest first, as most children are newer than their parents.

    The caller deletes each batch before it asks for the next one.
    """
    newest = nodes().filter(run_id__in=run_ids).order_by("-id").values_list("id", flat=True)
    while keys := list(newest[:_KEYS]):
        yield from in_batches(iter(keys))


def _delete_nodes(ids: list[UUID], on_batch: BatchHook | None = None) -> int:
    some = nodes().filter(id__in=ids)
    attempts = NodeAttempt.objects.using(write_alias()).filter(node__in=ids)
    if on_batch is not None:
        on_batch([*some.values_list("task_id", flat=True), *attempts.values_list("task_id", flat=True)])
    with announced(some), announced(attempts):
        return backend().delete_nodes(ids)
