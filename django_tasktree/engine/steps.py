"""How an action on many nodes is divided: all in the caller's transaction, or each batch in its own transaction."""

from collections.abc import Callable, Iterable
from typing import Any
from uuid import UUID

from django.db.models import Q

from django_tasktree.engine.traversal import in_batches


class Steps:
    """Execution of all batches in the caller's transaction.

    Attributes:
        are_separate: whether each batch is committed separately, so that another process may find a half-done action.
    """

    are_separate = False

    def each(
        self,
        keys: Iterable[UUID],
        act: Callable[[list[UUID]], int],
        left: Q | None = None,  # noqa: ARG002  nothing has been done before
    ) -> int:
        """Apply a function to nodes, ``BATCH_SIZE`` at a time.

        Args:
            keys: the IDs of the nodes.
            act: called with the IDs of a batch; returns the number of changed nodes. It must be safe to repeat.
            left: the condition of nodes that are not done yet, if an earlier process may have done some.

        Returns:
            The total number of changed nodes.
        """
        return sum(act(batch) for batch in in_batches(iter(keys)))

    def check(self, refuse: Callable[[], Any], undo: Callable[[], Any]) -> None:  # noqa: ARG002  it is rolled back
        """Check that the action is possible before anything is changed.

        Args:
            refuse: raises NotPossible if the action is not possible.
            undo: undoes the changes that ``refuse`` has committed; it is called only if batches are separate.
        """
        refuse()


AT_ONCE = Steps()
