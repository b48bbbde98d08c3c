"""The nodes of a running tree that are worth a line: those that run or failed, with the way that leads to them."""

from collections import deque
from collections.abc import Iterable
from uuid import UUID

from django_tasktree.management.display.page import Page
from django_tasktree.management.display.rows import NodeRow, nodes_of, read
from django_tasktree.models import NodeRun
from django_tasktree.states import NODE_FAILED, NodeState

#: So many levels above a node are shown at most.
_LEVELS_ABOVE = 6
_CACHED_ANCESTORS = 1000


class FocusPage:
    """Chooses, at each look, at most so many nodes as fit the screen; a look takes a bounded number of queries.

    Args:
        run_id: the run.
    """

    def __init__(self, run_id: UUID) -> None:
        self._nodes = nodes_of(run_id)
        self._roots = NodeRun.objects.under(run_id, None)
        self._root_count: int | None = None
        #: What was shown lately, so that quick nodes do not just flash by.
        self._trail: deque[UUID] = deque(maxlen=200)
        #: Nodes above others: they have ended, or nothing below them would run, so they do not change any more.
        self._ancestors: dict[UUID, NodeRow] = {}

    def read(self, total: int, lines: int) -> Page:
        """Look at the run.

        Args:
            total: how many nodes it has.
            lines: how many nodes fit the screen.
        """
        if self._root_count is None:
            self._root_count = self._roots.count()
        rows = read(self._nodes[:lines]) if total <= lines else self._choose(lines)
        return Page.of(rows, self._root_count)

    def _choose(self, lines: int) -> list[NodeRow]:
        running = read(self._nodes.filter(state__in=[NodeState.STARTED, NodeState.RETRY]).order_by("id")[:lines])
        failed = read(self._nodes.filter(state__in=NODE_FAILED)[: max(lines // 4, 1)])
        waiting = read(self._nodes.filter(state=NodeState.QUEUED)[: max(lines // 4, 1)])
        # Those that wait will have ended by the next look, if they are quick: then they are worth a line too.
        self._remember([*reversed(waiting), *running])
        recent = [*self._trail][: max(lines - len(running), 0)]
        known = read(self._nodes.filter(id__in=recent))
        known.sort(key=lambda row: recent.index(row.id))
        return self._with_ways([*running, *failed, *waiting[:2], *known, *waiting[2:]], lines)

    def _remember(self, running: Iterable[NodeRow]) -> None:
        for row in running:
            if row.id not in self._trail:
                self._trail.appendleft(row.id)

    def _with_ways(self, wanted: list[NodeRow], lines: int) -> list[NodeRow]:
        """Add nodes in order of importance, each with those above it, as long as there is room."""
        self._load_ancestors(wanted)
        chosen: dict[UUID, NodeRow] = {}
        for row in wanted:
            way = {each.id: each for each in self._way(row) if each.id not in chosen}
            if len(chosen) + len(way) <= lines:
                chosen |= way
        return [*chosen.values()]

    def _way(self, row: NodeRow) -> list[NodeRow]:
        way = [row]
        while len(way) <= _LEVELS_ABOVE and (above := self._ancestors.get(way[-1].parent_id or row.id)) is not None:
            way.append(above)
        return way

    def _load_ancestors(self, rows: list[NodeRow]) -> None:
        """Read the nodes above others level by level, as far as they are not known."""
        if len(self._ancestors) > _CACHED_ANCESTORS:
            self._ancestors.clear()
        for _ in range(_LEVELS_ABOVE):
            above = {row.parent_id for row in rows if row.parent_id is not None}
            unknown = above - self._ancestors.keys()
            if unknown:
                self._ancestors |= {row.id: row for row in read(self._nodes.filter(id__in=unknown))}
            rows = [self._ancestors[key] for key in above if key in self._ancestors]
