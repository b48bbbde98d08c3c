"""The history of a run: what was asked of it, by whom and when."""

from typing import Any
from uuid import UUID

from django_tasktree.engine.moves import write_alias
from django_tasktree.models import HistoryEntry
from django_tasktree.models.history_entry import Action
from django_tasktree.text import LONG_NAME_LENGTH, storable, text_of


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
    user_id = getattr(by, "pk", None)
    HistoryEntry.objects.using(write_alias()).create(
        run_id=run_id,
        node_id=node_id,
        action=action,
        user_id=user_id,
        actor="" if by is None else storable(text_of(by), LONG_NAME_LENGTH),
        nodes=nodes,
        note=storable(note),
    )
