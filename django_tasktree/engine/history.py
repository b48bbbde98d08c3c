"""The history of a run: which actions were carried out, who requested them, and when."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django_tasktree.encoding import times
from django_tasktree.encoding.text import LONG_NAME_LENGTH, storable, text_of
from django_tasktree.engine import transitions
from django_tasktree.engine.transitions import write_alias
from django_tasktree.exceptions import StaleAttempt
from django_tasktree.models import HistoryEntry
from django_tasktree.models.history_entry import Action
from django_tasktree.states import NodeState


@dataclass(frozen=True, slots=True)
class InBackground:
    """A user whose action is carried out by a node in the background.

    Attributes:
        user: the user, or a text.
        node_id: the node; a later attempt at it does not repeat the actions of earlier ones.
        task_id: the task ID of the current attempt.
    """

    user: Any
    node_id: UUID
    task_id: UUID

    def __str__(self) -> str:
        return text_of(self.user)

    def check(self) -> None:
        """Check that no other attempt has taken over. The lock prevents this until the end of the transaction.

        Raises:
            StaleAttempt: if another attempt has taken over, or the node is not STARTED.
        """
        mine = transitions.nodes().filter(id=self.node_id, task_id=self.task_id, state=NodeState.STARTED)
        if mine.select_for_update().values_list("id", flat=True).first() is None:
            raise StaleAttempt.of(self.node_id, self.task_id)


def is_user(given: Any) -> bool:
    """Return whether an object is a user, in the sense of Django's authentication: possibly an anonymous one."""
    return hasattr(given, "is_authenticated") and not isinstance(given, type)


def user_of(by: Any) -> Any:
    """Return the user who requested an action; None if a text or another object names a program or person."""
    user = by.user if isinstance(by, InBackground) else by
    return user if is_user(user) else None


def asked_before(node_id: UUID, keys: Collection[UUID], *, of_nodes: bool) -> dict[UUID, int]:
    """Find the runs or nodes on which a node in the background has completed an action already.

    Args:
        node_id: the node in the background.
        keys: the IDs of the runs or nodes.
        of_nodes: whether these are IDs of nodes.

    Returns:
        ID -> the number of nodes that the action changed.
    """
    entries = HistoryEntry.objects.using(write_alias()).filter(cause=node_id, state_before="")
    moved = dict(entries.values_list("node_id" if of_nodes else "run_id", "nodes"))
    return {key: moved[key] for key in keys if key in moved}


def record(
    run_id: UUID,
    action: Action,
    by: Any = None,
    *,
    node_id: UUID | None = None,
    nodes: int = 0,
    note: str = "",
    state_before: str = "",
    is_checked: bool = True,
) -> HistoryEntry:
    """Insert a history entry in the transaction of the action.

    Args:
        run_id: the run.
        action: the action.
        by: the user who requested it, or a text that names the program; None if it was neither.
        node_id: the node, if the action affects a node instead of the whole run.
        nodes: how many nodes the action changed.
        note: additional information.
        state_before: the state of the run, if the action will be carried out in batches; otherwise empty.
        is_checked: whether the action can no longer be refused.

    Returns:
        The entry.

    Raises:
        StaleAttempt: see :meth:`InBackground.check`.
    """
    if isinstance(by, InBackground):
        by.check()
    values: dict[str, Any] = {"node_id": node_id, "nodes": nodes, "note": storable(note), "is_checked": is_checked}
    if state_before:
        values |= {"state_before": state_before, "last_batch_at": times.now()}
    entry = _entry(run_id, action, by, **values)
    entry.save(using=write_alias())
    return entry


def record_each(run_id: UUID, action: Action, by: Any, moved: Mapping[UUID, int]) -> None:
    """Insert the history entries of an action on several nodes in the transaction of the action.

    Args:
        run_id: the run.
        action: the action.
        by: see :func:`record`.
        moved: node -> how many nodes the action on it changed.

    Raises:
        StaleAttempt: see :meth:`InBackground.check`.
    """
    if isinstance(by, InBackground):
        by.check()
    entries = [_entry(run_id, action, by, node_id=key, nodes=number) for key, number in moved.items()]
    HistoryEntry.objects.using(write_alias()).bulk_create(entries)


def record_runs(run_ids: Iterable[UUID], action: Action, by: Any, note: str) -> None:
    """Insert the history entries of an action on several runs in the transaction of the action.

    Args:
        run_ids: the runs.
        action: the action.
        by: see :func:`record`.
        note: additional information.
    """
    entries = [_entry(run_id, action, by, note=note) for run_id in run_ids]
    HistoryEntry.objects.using(write_alias()).bulk_create(entries)


def open_entries(**conditions: Any) -> Any:
    """Return the entries of actions that are carried out in batches now, or were left unfinished by a lost process."""
    return HistoryEntry.objects.using(write_alias()).filter(last_batch_at__isnull=False, **conditions)


def _entry(run_id: UUID, action: Action, by: Any, **values: Any) -> HistoryEntry:
    return HistoryEntry(
        run_id=run_id,
        action=action,
        user_id=getattr(user_of(by), "pk", None),
        actor="" if by is None else storable(text_of(by), LONG_NAME_LENGTH),
        cause=by.node_id if isinstance(by, InBackground) else None,
        **values,
    )
