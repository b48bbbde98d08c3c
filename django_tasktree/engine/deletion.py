"""Delete runs or nodes, with what belongs to them, in the caller's transaction.

What other apps' rows refer to goes as their ``on_delete`` says. Receivers of ``pre_delete`` and ``post_delete`` are
called where there are any; where there are none, no row is loaded.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any
from uuid import UUID

from django.db.models import ProtectedError, RestrictedError
from django.utils.translation import gettext_noop as _

from django_tasktree.engine import sql
from django_tasktree.engine.dependents import OF_NODES, OF_RUNS, Dependents, announced
from django_tasktree.engine.moves import nodes, write_alias
from django_tasktree.engine.subtree import in_batches
from django_tasktree.exceptions import NotPossible
from django_tasktree.models import HistoryEntry, NodeAttempt, NodeRun, TreeRun

#: So many keys are read at once.
_KEYS = 50_000

#: Called with the task ids of all attempts at some nodes, before these are deleted.
Beside = Callable[[list[UUID]], None]


def delete_runs(run_ids: Sequence[UUID], beside: Beside | None = None) -> int:
    """Delete runs with their nodes.

    Args:
        run_ids: at most ``BATCH_SIZE`` keys.
        beside: called for each batch of nodes.

    Returns:
        The number of nodes.

    Raises:
        ProtectedError, RestrictedError: rows of other apps keep one of them.
    """
    runs = TreeRun.objects.using(write_alias()).filter(id__in=run_ids)
    dependents = Dependents(OF_RUNS, run_ids).collect()
    with announced(runs):
        dependents.delete()
        number = sum(_delete_nodes(batch, beside) for batch in _node_keys(run_ids))
        TreeRun.objects.using(write_alias()).filter(copy_of__in=run_ids).update(copy_of=None)
        history = HistoryEntry.objects.using(write_alias()).filter(run__in=run_ids)
        with announced(history):
            history._raw_delete(write_alias())
        runs._raw_delete(write_alias())
    return number


def delete_nodes(ids: Sequence[UUID]) -> None:
    """Delete nodes of a run that stays.

    Raises:
        NotPossible: rows of other apps keep one of them.
    """
    for batch in in_batches(iter(ids)):
        try:
            dependents = Dependents(OF_NODES, batch).collect()
        except (ProtectedError, RestrictedError) as exc:
            raise NotPossible(
                _("nodes that would have to be deleted are kept: %(reason)s"), reason=kept_by(exc)
            ) from exc
        dependents.delete()
        _delete_nodes(batch)


def kept_by(exc: ProtectedError | RestrictedError) -> str:
    """Say in one line what keeps rows from being deleted."""
    return str(exc.args[0])


def _node_keys(run_ids: Sequence[UUID]) -> Iterator[list[UUID]]:
    """The keys of runs' nodes, the newest first: children mostly come after their parents."""
    newest = nodes().filter(run_id__in=run_ids).order_by("-id").values_list("id", flat=True)
    while keys := list(newest[:_KEYS]):
        yield from in_batches(iter(keys))


def _delete_nodes(ids: list[UUID], beside: Beside | None = None) -> int:
    some = nodes().filter(id__in=ids)
    attempts = NodeAttempt.objects.using(write_alias()).filter(node__in=ids)
    if beside is not None:
        beside([*some.values_list("task_id", flat=True), *attempts.values_list("task_id", flat=True)])
    keys = ", ".join(["%s"] * len(ids))
    with announced(some), announced(attempts):
        sql.execute(f"DELETE FROM {_table(NodeAttempt)} WHERE node_id IN ({keys})", *ids)  # noqa: S608
        sql.execute(f"UPDATE {_table(HistoryEntry)} SET node_id = NULL WHERE node_id IN ({keys})", *ids)  # noqa: S608
        _detach_children(ids, keys)
        return sql.execute(f"DELETE FROM {_table(NodeRun)} WHERE id IN ({keys})", *ids)  # noqa: S608


def _detach_children(ids: list[UUID], keys: str) -> None:
    """Take children from their parents: of other batches, if there are any; MariaDB looks at each row for itself."""
    statement = f"UPDATE {_table(NodeRun)} SET parent_id = NULL WHERE parent_id IN ({keys})"  # noqa: S608
    if sql.connection().vendor == "mysql":
        sql.execute(statement, *ids)
    else:
        sql.execute(f"{statement} AND id NOT IN ({keys})", *ids, *ids)


def _table(model: Any) -> str:
    return str(model._meta.db_table)
