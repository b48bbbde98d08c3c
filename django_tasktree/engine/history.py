"""The history of a run: what was asked of it, by whom and when."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django_tasktree.engine import moves
from django_tasktree.engine.moves import write_alias
from django_tasktree.exceptions import Fenced
from django_tasktree.models import HistoryEntry
from django_tasktree.models.history_entry import Action
from django_tasktree.states import NodeState
from django_tasktree.text import LONG_NAME_LENGTH, storable, text_of


@dataclass(frozen=True, slots=True)
class InBackground:
    """Who asks for something by way of a node that works in the background.

    Attributes:
        user: the user, or a text.
        node_id: the node; what it has asked for once is not asked for again if it runs again.
        task_id: the attempt at it.
    """

    user: Any
    node_id: UUID
    task_id: UUID

    @property
    def pk(self) -> Any:
        """The key of the user; None where it is a text."""
        return getattr(self.user, "pk", None)

    def __str__(self) -> str:
        return text_of(self.user)

    def check(self) -> None:
        """Make sure that no other attempt has taken over: in a transaction none does until its end.

        Raises:
            Fenced: one has.
        """
        mine = moves.nodes().filter(id=self.node_id, task_id=self.task_id, state=NodeState.STARTED)
        if mine.select_for_update().values_list("id", flat=True).first() is None:
            raise Fenced.of(self.node_id, self.task_id)


def asked_before(node_id: UUID, keys: Collection[UUID], *, of_nodes: bool) -> dict[UUID, int]:
    """Give those of some runs, or nodes, that a node has steered already, with the number of nodes that each moved.

    Args:
        node_id: the node that works in the background.
        keys: of runs, or of nodes.
        of_nodes: which of them.
    """
    entries = HistoryEntry.objects.using(write_alias()).filter(cause=node_id)
    moved = dict(entries.values_list("node_id" if of_nodes else "run_id", "nodes"))
    return {key: moved[key] for key in keys if key in moved}


def record(
    run_id: UUID, action: Action, by: Any = None, *, node_id: UUID | None = None, nodes: int = 0, note: str = ""
) -> None:
    """Write down what was done, in the transaction that does it.

    Args:
        run_id: the run.
        action: what was asked for.
        by: the user who asked, or a text that names what did; None: it came about by itself.
        node_id: the node, where it was asked of one with its subtree.
        nodes: how many nodes it moved.
        note: what else is worth knowing.
    """
    if isinstance(by, InBackground):
        by.check()
    _entry(run_id, action, by, node_id=node_id, nodes=nodes, note=storable(note)).save(using=write_alias())


def record_each(run_id: UUID, action: Action, by: Any, moved: Mapping[UUID, int]) -> None:
    """Write down what was done to several nodes, in the transaction that does it.

    Args:
        run_id: the run.
        action: what was asked for.
        by: see :func:`record`.
        moved: node -> how many nodes it moved.
    """
    if isinstance(by, InBackground):
        by.check()
    entries = [_entry(run_id, action, by, node_id=key, nodes=number) for key, number in moved.items()]
    HistoryEntry.objects.using(write_alias()).bulk_create(entries)


def _entry(run_id: UUID, action: Action, by: Any, **values: Any) -> HistoryEntry:
    return HistoryEntry(
        run_id=run_id,
        action=action,
        user_id=getattr(by, "pk", None),
        actor="" if by is None else storable(text_of(by), LONG_NAME_LENGTH),
        cause=by.node_id if isinstance(by, InBackground) else None,
        **values,
    )
