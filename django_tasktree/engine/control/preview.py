"""Preview the effect of an action by reading only: nothing is written, and no row is locked.

The rules are the same as those of the actions. A test on random runs compares each preview with the action's effect.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import Q

from django_tasktree.engine.backends import backend
from django_tasktree.engine.backends.base import as_uuid
from django_tasktree.engine.control.complete import refuse_completion
from django_tasktree.engine.control.reachability import REACHED
from django_tasktree.engine.control.refusals import HAS_ENDED, NO_DRAFT, NOT_GOING, NOT_PAUSED
from django_tasktree.engine.control.rerun import refuse_before_parent, refuse_unfinished, tops_of_rerun
from django_tasktree.engine.control.reset import RESETTABLE, WAITS_AGAIN, check_run, running_refusal
from django_tasktree.engine.control.retry import nothing_failed, refuse_unreachable
from django_tasktree.engine.literals import literals
from django_tasktree.engine.transitions import nodes
from django_tasktree.engine.traversal import LEVELS, ancestors, in_batches, in_chunks
from django_tasktree.engine.types import Effect
from django_tasktree.exceptions import NotPossible
from django_tasktree.states import NODE_FAILED, NOT_STARTED, RUN_STOPPABLE, STANDING_BY, Hold, NodeState, RunState

#: The maximum number of nodes at which one query starts.
_TOPS = 5_000

# MariaDB takes the column types from the first SELECT; a plain '' would give parent_state the length 0.
_BELOW = """
    WITH RECURSIVE below (id, state, parent_state, gone, step) AS (
        SELECT id, state, CASE WHEN 1 = 0 THEN state ELSE '' END, {gone}, 0 FROM {{node}}
        WHERE run_id = %s AND id IN ({tops})
        UNION ALL
        SELECT child.id, child.state, below.state,
            CASE WHEN below.gone = 1 OR child.added_at_runtime THEN 1 ELSE 0 END, below.step + 1
        FROM {{node}} child JOIN below ON child.parent_id = below.id
        WHERE child.run_id = %s AND below.step < %s
    )
"""
_COUNTS = """
    SELECT node.state, node.hold, node.is_gather, CASE WHEN node.attempts = 0 THEN 1 ELSE 0 END, below.parent_state,
        below.gone, MAX(below.step), COUNT(*)
    FROM below JOIN {{node}} node ON node.id = below.id WHERE below.step >= {first}
    GROUP BY node.state, node.hold, node.is_gather, CASE WHEN node.attempts = 0 THEN 1 ELSE 0 END, below.parent_state,
        below.gone
"""
_LOWEST = "SELECT id, gone FROM below WHERE step = {levels}"
_FOUND = "SELECT node.id FROM below JOIN {{node}} node ON node.id = below.id WHERE {condition}"


@dataclass(frozen=True)
class _Kind:
    """The properties by which nodes are counted.

    Attributes:
        is_untried: whether the node has had no attempt.
        parent_state: the parent's state; empty for the nodes at which the query starts.
        is_gone: whether the node would be removed, because a task added it or a node above it.
    """

    state: str
    hold: str
    is_gather: bool
    is_untried: bool
    parent_state: str
    is_gone: bool

    @property
    def waits_again(self) -> bool:
        """Whether the action, if it affects the nodes, makes them wait again: ``WAITS_AGAIN`` for counted nodes."""
        return (self.state == NodeState.SKIPPED and self.is_untried) or self.state in STANDING_BY


class _Below:
    """Some nodes and all nodes below them, counted by kind.

    Args:
        run_id: the run.
        tops: the nodes; none of them is below another.
    """

    def __init__(self, run_id: UUID, tops: Iterable[UUID]) -> None:
        self._run_id = run_id
        self._tops = list(tops)
        self.counts: Counter[_Kind] = Counter()
        self._walks: list[tuple[list[UUID], int]] = []
        self._walk()

    def sum(self, **wanted: Any) -> int:
        """Count the nodes with these properties; a set matches any of its values."""
        return sum(number for kind, number in self.counts.items() if _matches(kind, wanted))

    def find(self, condition: str, *values: Any) -> Iterator[UUID]:
        """Yield the IDs of the nodes that match a condition.

        Args:
            condition: an SQL condition on ``node``.
            *values: the values for its placeholders.
        """
        for tops, gone in self._walks:
            for (key,) in self._rows(tops, gone, _FOUND.format(condition=condition), *values):
                yield as_uuid(key)

    def _walk(self) -> None:
        frontier: dict[int, list[UUID]] = {0: self._tops}
        first = 0
        while frontier:
            lowest: dict[int, list[UUID]] = {}
            for gone, tops in frontier.items():
                for some in in_chunks(tops, _TOPS):
                    self._walks.append((some, gone))
                    if self._count(some, gone, first) == LEVELS:
                        for key, is_gone in self._rows(some, gone, _LOWEST.format(levels=LEVELS)):
                            lowest.setdefault(int(is_gone), []).append(as_uuid(key))
            # The lowest nodes have been counted already.
            frontier, first = lowest, 1

    def _count(self, tops: list[UUID], gone: int, first: int) -> int:
        deepest = 0
        for state, hold, is_gather, untried, parent_state, is_gone, step, number in self._rows(
            tops, gone, _COUNTS.format(first=first)
        ):
            kind = _Kind(state, hold, bool(is_gather), bool(untried), parent_state, bool(is_gone))
            self.counts[kind] += number
            deepest = max(deepest, step)
        return deepest

    def _rows(self, tops: list[UUID], gone: int, query: str, *values: Any) -> list[Any]:
        below = _BELOW.format(gone=gone, tops=", ".join(["%s"] * len(tops)))
        return backend().rows(below + query, self._run_id, *tops, self._run_id, LEVELS, *values)


def _matches(kind: _Kind, wanted: dict[str, Any]) -> bool:
    return all(
        getattr(kind, name) in value if isinstance(value, (set, frozenset)) else getattr(kind, name) == value
        for name, value in wanted.items()
    )


def pause(run_id: UUID, node_id: UUID | None = None) -> Effect:
    """See :func:`django_tasktree.control.operations.pause`."""
    if node_id is None:
        _require(run_id, {RunState.STARTED}, NOT_GOING)
        return Effect(running=_running(run_id))
    check_run(run_id)
    below = _Below(run_id, [node_id])
    return Effect(held=below.sum(hold=Hold.NONE), running=below.sum(state=NodeState.STARTED))


def resume(run_id: UUID, node_id: UUID | None = None) -> Effect:
    """See :func:`django_tasktree.control.operations.resume`."""
    if node_id is None:
        _require(run_id, {RunState.PAUSED}, NOT_PAUSED)
        return Effect()
    check_run(run_id)
    return Effect(held=_Below(run_id, [node_id]).sum(hold=Hold.PAUSED))


def launch(run_id: UUID) -> Effect:
    """See :func:`django_tasktree.control.operations.launch_draft`."""
    _require(run_id, {RunState.DRAFT}, NO_DRAFT)
    return Effect()


def copy(run_id: UUID) -> Effect:
    """See :func:`django_tasktree.definitions.relaunch.copy_run`. A refusal by the definition is not predicted."""
    _state(run_id)
    return Effect()


def revoke(run_id: UUID, node_id: UUID | None = None) -> Effect:
    """See :func:`django_tasktree.control.operations.revoke`."""
    if node_id is None:
        state = _state(run_id)
        if state not in RUN_STOPPABLE:
            raise NotPossible(HAS_ENDED, run=run_id, state=state)
        return Effect(revoked=_of(run_id, NOT_STARTED), running=_running(run_id))
    check_run(run_id)
    below = _Below(run_id, [node_id])
    return Effect(revoked=below.sum(state=NOT_STARTED), running=below.sum(state=NodeState.STARTED))


def retry(run_id: UUID, node_id: UUID | None = None) -> Effect:
    """See :func:`django_tasktree.engine.control.retry.retry_failed`."""
    check_run(run_id)
    stays = _of(run_id, {NodeState.SUCCESS})
    if node_id is None:
        failed = _of(run_id, NODE_FAILED)
        if not failed:
            raise nothing_failed(run_id, None)
        return Effect(again=failed + _restored_in_run(run_id), stays=stays)
    below = _Below(run_id, [node_id])
    failed = below.sum(state=NODE_FAILED)
    if not failed:
        raise nothing_failed(run_id, node_id)
    refuse_unreachable(node_id)
    return Effect(again=failed + _restored_below(run_id, below), stays=stays)


def rerun(run_id: UUID, node_id: UUID) -> Effect:
    """See :func:`django_tasktree.engine.control.rerun.rerun`."""
    check_run(run_id)
    row = nodes().get(id=node_id)
    refuse_unfinished(row)
    refuse_before_parent(row)
    below = _Below(run_id, tops_of_rerun(run_id, node_id))
    if below.sum(state=NodeState.STARTED):
        raise running_refusal(min(below.find("node.state = %s", NodeState.STARTED)))
    return Effect(
        again=below.sum(state=RESETTABLE, is_gone=False),
        stays=_of(run_id, {NodeState.SUCCESS}) - below.sum(state=NodeState.SUCCESS),
        removed=below.sum(is_gone=True),
    )


def complete(run_id: UUID, node_id: UUID) -> Effect:
    """See :func:`django_tasktree.engine.control.complete.prepare_completion`."""
    check_run(run_id)
    row = nodes().get(id=node_id)
    refuse_completion(row)
    again = 0
    if row.state in NODE_FAILED:
        some = nodes().filter(run_id=run_id).filter(WAITS_AGAIN)
        again = some.filter(Q(parent__isnull=True, is_gather=True) | Q(parent=node_id)).count()
        above = ancestors(run_id, [row.parent_id]) if row.parent_id else set()
        for batch in in_batches(iter(above)):
            again += some.filter(parent__in=batch, is_gather=True).count()
    return Effect(again=again, stays=_of(run_id, {NodeState.SUCCESS}))


def _restored_in_run(run_id: UUID) -> int:
    """Count the nodes that would wait again after a retry of the whole run."""
    some = nodes().filter(run_id=run_id).filter(WAITS_AGAIN)
    number = some.filter(Q(parent__isnull=True, is_gather=True) | Q(parent__state__in=NODE_FAILED)).count()
    gathers = some.filter(is_gather=True, parent__isnull=False).exclude(parent__state__in=NODE_FAILED)
    parents = Counter(gathers.values_list("parent_id", flat=True))
    if not parents:
        return number
    heads = nodes().filter(REACHED, run_id=run_id, state__in=NODE_FAILED, parent__isnull=False)
    above = ancestors(run_id, heads.order_by().values_list("parent_id", flat=True).distinct())
    return number + sum(parents[key] for key in parents.keys() & above)


def _restored_below(run_id: UUID, below: _Below) -> int:
    """Count the nodes that would wait again after a retry of a node with all nodes below it."""
    some = nodes().filter(run_id=run_id).filter(WAITS_AGAIN)
    number = some.filter(parent__isnull=True, is_gather=True).count()
    number += below.sum(waits_again=True, parent_state=NODE_FAILED)
    failed = set(below.find(_IS_FAILED))
    heads: set[UUID] = set()
    for batch in in_batches(iter(failed)):
        heads |= set(nodes().filter(REACHED, id__in=batch, parent__isnull=False).values_list("parent_id", flat=True))
    above = ancestors(run_id, heads)
    for batch in in_batches(iter(above - failed)):
        number += some.filter(parent__in=batch, is_gather=True).count()
    return number


_IS_FAILED = f"node.state IN ({literals(NODE_FAILED)})"


def _require(run_id: UUID, states: set[RunState], refusal: str) -> None:
    state = _state(run_id)
    if state not in states:
        raise NotPossible(refusal, run=run_id, state=state)


def _state(run_id: UUID) -> str:
    return check_run(run_id, drafts=True, changing=True).state


def _of(run_id: UUID, states: Iterable[NodeState]) -> int:
    return nodes().filter(run_id=run_id, state__in=list(states)).count()


def _running(run_id: UUID) -> int:
    return _of(run_id, [NodeState.STARTED])
