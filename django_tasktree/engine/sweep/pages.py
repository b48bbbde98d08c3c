"""Walk rows in pages by their keys, and go on in the next pass where this one has to end."""

from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

from django_tasktree.conf import settings
from django_tasktree.engine.moves import nodes
from django_tasktree.models.querysets import NodeRunQuerySet
from django_tasktree.states import NodeState


class Walk:
    """How far a pass of the sweep gets.

    Args:
        cursors: where earlier passes have ended, by what they looked at; written to as this one gets further.
        most_pages: how many pages of each kind it looks at; None for all.
        go_on: called before each page; tells whether there is time for it.
    """

    def __init__(
        self,
        cursors: dict[str, str] | None = None,
        most_pages: int | None = None,
        go_on: Callable[[], bool] = lambda: True,
    ) -> None:
        self.cursors = {} if cursors is None else dict(cursors)
        self._most_pages = most_pages
        self.go_on = go_on

    def pages(self, kind: str, rows: Any, *columns: str) -> Iterator[list[tuple[Any, ...]]]:
        """Read rows in the order of their keys.

        Args:
            kind: under what name to remember how far it got.
            rows: the rows, which are not to be filtered by more than an index knows: else one page could take long.
            *columns: what to read of them beside ``id``, which comes first.
        """
        done = 0
        while self._most_pages is None or done < self._most_pages:
            if not self.go_on():
                return
            after = self.cursors.get(kind)
            some = rows.filter(id__gt=UUID(hex=after)) if after else rows
            page = list(some.order_by("id").values_list("id", *columns)[: settings.batch_size])
            if page:
                yield page
            done += 1
            if len(page) < settings.batch_size:
                self.cursors.pop(kind, None)
                return
            self.cursors[kind] = page[-1][0].hex


def unsettled(state: NodeState) -> NodeRunQuerySet:
    """The nodes in a state that have not settled; an index has them in the order of their keys."""
    return nodes().filter(settled=False, state=state)
