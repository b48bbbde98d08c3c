"""Choose the nodes of a running tree that are shown: those that run or failed, with their ancestors."""

from collections import deque
from collections.abc import Iterable
from uuid import UUID

from django_tasktree.management.display.nodes import NodeRow, nodes_of, read
from django_tasktree.management.display.page import Page
from django_tasktree.models import NodeRun
from django_tasktree.states import NODE_FAILED, NodeState

#: At most this many ancestors of a node are shown.
_LEVELS_ABOVE = 6
_CACHED_ANCESTORS = 1000


class FocusPage:
    """Choose at each poll as many nodes as fit the screen, in a bounded number of queries.

    Args:
        run_id: the run.
    """

    def __init__(self, run_id: UUID) -> None:
        self._nodes = nodes_of(run_id)
        self._run_id = run_id
        self._root_count: int | None = None
        #: Recently shown nodes, the latest first: without them, quick nodes would disappear at once.
        self._recent: deque[UUID] = deque(maxlen=200)
        #: Cached ancestors of shown nodes. They have finished, otherwise nothing below them would run, so they do not
        #: change any more.
        self._ancestors: dict[UUID, NodeRow] = {}

    def read(self, total: int, lines: int) -> Page:
        """Return the nodes to show now.

        Args:
            total: the number of nodes of the run.
            lines: the number of nodes that fit the screen.
        """
        if self._root_count is None:
            self._root_count = NodeRun.objects.root_count(self._run_id)
        rows = read(self._nodes[:lines]) if total <= lines else self._choose(lines)
        return Page.of(rows, self._root_count)

    def _choose(self, lines: int) -> list[NodeRow]:
        running = read(self._nodes.filter(state__in=[NodeState.STARTED, NodeState.RETRY]).order_by("id")[:lines])
        failed = read(self._nodes.filter(state__in=NODE_FAILED)[: max(lines // 4, 1)])
        waiting = read(self._nodes.filter(state__in=[NodeState.QUEUED, NodeState.WAITING])[: max(lines // 4, 1)])
        # Quick nodes that are queued now may have finished by the next poll. They are remembered and shown then, too.
        self._remember([*reversed(waiting), *running])
        recent_ids = [*self._recent][: max(lines - len(running), 0)]
        recent = read(self._nodes.filter(id__in=recent_ids))
        recent.sort(key=lambda row: recent_ids.index(row.id))
        return self._with_ancestors([*running, *failed, *waiting[:2], *recent, *waiting[2:]], lines)

    def _remember(self, running: Iterable[NodeRow]) -> None:
        for row in running:
            if row.id not in self._recent:
                self._recent.appendleft(row.id)

    def _with_ancestors(self, wanted: list[NodeRow], lines: int) -> list[NodeRow]:
        """Return as many nodes as fit, in order of importance, each with its ancestors."""
        self._load_ancestors(wanted)
        chosen: dict[UUID, NodeRow] = {}
        for row in wanted:
            path = {node.id: node for node in self._path(row) if node.id not in chosen}
            if len(chosen) + len(path) <= lines:
                chosen |= path
        return [*chosen.values()]

    def _path(self, row: NodeRow) -> list[NodeRow]:
        path = [row]
        while len(path) <= _LEVELS_ABOVE and (above := self._ancestors.get(path[-1].parent_id or row.id)) is not None:
            path.append(above)
        return path

    def _load_ancestors(self, rows: list[NodeRow]) -> None:
        """Read the ancestors of nodes level by level, except those that are cached."""
        if len(self._ancestors) > _CACHED_ANCESTORS:
            self._ancestors.clear()
        for _ in range(_LEVELS_ABOVE):
            above = {row.parent_id for row in rows if row.parent_id is not None}
            unknown = above - self._ancestors.keys()
            if unknown:
                self._ancestors |= {row.id: row for row in read(self._nodes.filter(id__in=unknown))}
            rows = [self._ancestors[key] for key in above if key in self._ancestors]
