"""The children of a node that failed, or have a failed node below them, found without reading all children."""

from collections import defaultdict
from collections.abc import Collection
from functools import cached_property
from typing import Any
from uuid import UUID

from django_tasktree.models import NodeRun
from django_tasktree.states import NodeState

#: The maximum number of failed nodes of a run that are read: if there are more, those of a parent may be missing.
MAX_READ = 1_000
#: How many nodes above each failed node lead to it.
_LEVELS = 5
_COLUMNS = ("id", "parent_id", "position")


class FailedChildren:
    """The failed nodes of a run and those that lead to them, by parent; read in one query, when they are first used.

    Args:
        run_id: the run.
    """

    def __init__(self, run_id: UUID) -> None:
        self._run_id = run_id

    def beyond(self, parent_id: UUID | None, position: int, most: int) -> list[UUID]:
        """Return the first of the children of a node that failed or lead to a failed node, in order.

        Args:
            parent_id: the node; None: the run, whose children are the root nodes.
            position: only children with this position or a greater one.
            most: the maximum number of children.
        """
        found = sorted((at, key) for key, at in self._by_parent.get(parent_id, {}).items() if at >= position)
        return [key for _, key in found[:most]]

    def number(self, parent_id: UUID | None, without: Collection[UUID] = ()) -> int:
        """Return the number of children of a node that failed or lead to a failed node.

        Args:
            parent_id: the node; None: the run.
            without: children that are not counted.
        """
        return len(self._by_parent.get(parent_id, {}).keys() - set(without))

    @property
    def is_cut(self) -> bool:
        """Whether there may be more failed nodes than were read, so that the numbers may be greater."""
        return len(self._read) == MAX_READ

    @cached_property
    def _by_parent(self) -> dict[UUID | None, dict[UUID, int]]:
        """Parent -> child -> position of the child."""
        found: dict[UUID | None, dict[UUID, int]] = defaultdict(dict)
        for row in self._read:
            for at in range(0, len(row), len(_COLUMNS)):
                key, parent_id, position = row[at : at + len(_COLUMNS)]
                if key is not None:
                    found[parent_id][key] = position
        return dict(found)

    @cached_property
    def _read(self) -> list[tuple[Any, ...]]:
        columns = [f"{'parent__' * level}{name}" for level in range(_LEVELS + 1) for name in _COLUMNS]
        failed = NodeRun.objects.filter(run_id=self._run_id, state=NodeState.FAILURE).order_by()
        return list(failed.values_list(*columns)[:MAX_READ])
