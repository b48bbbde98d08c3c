"""Scan rows in pages by their IDs, across several passes of the sweep."""

from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

from django_tasktree.conf import settings
from django_tasktree.engine.rules import IS_UNSETTLED
from django_tasktree.engine.transitions import nodes
from django_tasktree.models.querysets import NodeRunQuerySet
from django_tasktree.states import NodeState

_IS_UNSETTLED = IS_UNSETTLED.q()


class Scan:
    """The extent of one pass of the sweep, and the positions at which it has ended.

    Args:
        cursors: the positions and observations of earlier passes (kind of rows -> last ID read); not modified. None if
            this pass covers everything and nothing is kept for a next one.
        max_pages: the maximum number of pages of each kind; None for no limit.
        may_continue: returns whether there is time for another page; called before each page.

    Attributes:
        cursors: as above; updated during the scan.
        keeps_cursors: whether a next pass continues from ``cursors``.
        may_continue: as above.
    """

    def __init__(
        self,
        cursors: dict[str, Any] | None = None,
        max_pages: int | None = None,
        may_continue: Callable[[], bool] = lambda: True,
    ) -> None:
        self.cursors = dict(cursors or {})
        self.keeps_cursors = cursors is not None
        self._max_pages = max_pages
        self.may_continue = may_continue

    def pages(self, kind: str, rows: Any, *columns: str) -> Iterator[list[tuple[Any, ...]]]:
        """Yield pages of ``BATCH_SIZE`` rows in the order of their IDs.

        Args:
            kind: the key of ``cursors`` under which the position is stored.
            rows: the queryset. Filter it only by columns of one index, or a single page may take long.
            *columns: the columns to read in addition to ``id``, which is the first of each row.
        """
        done = 0
        while self._max_pages is None or done < self._max_pages:
            if not self.may_continue():
                return
            after = self.cursors.get(kind)
            remaining = rows.filter(id__gt=UUID(hex=after)) if after else rows
            page = list(remaining.order_by("id").values_list("id", *columns)[: settings.batch_size])
            if page:
                yield page
            done += 1
            if len(page) < settings.batch_size:
                self.cursors.pop(kind, None)
                return
            self.cursors[kind] = page[-1][0].hex


def unsettled(state: NodeState) -> NodeRunQuerySet:
    """Return the nodes in a state that have not settled. An index contains them in the order of their IDs."""
    return nodes().filter(_IS_UNSETTLED, state=state)
