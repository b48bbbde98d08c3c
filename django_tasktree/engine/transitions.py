"""The only place that writes the state of a node or run, by guarded UPDATEs that the tables in ``states`` permit.

Hand-written statements get their assignment and their guard from a :class:`SqlMove`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from django.db import connections, router
from django.db.models import Case, Q, Value, When

from django_tasktree.engine.literals import literal, literals
from django_tasktree.engine.notifications import announcing_ends
from django_tasktree.exceptions import InvalidTransition
from django_tasktree.models import NodeRun, TreeRun
from django_tasktree.models.fields import ExactCharField
from django_tasktree.models.querysets import NodeRunQuerySet, TreeRunQuerySet
from django_tasktree.states import (
    INITIAL_STATES,
    NODE_TRANSITIONS,
    RUN_FINAL,
    RUN_TRANSITIONS,
    NodeState,
    RunState,
)

_State = TypeVar("_State", NodeState, RunState)


#: Returns the database alias that the engine uses for all reads and writes.
write_alias: Callable[[], str] = partial(router.db_for_write, NodeRun)


def nodes() -> NodeRunQuerySet:
    """Return all nodes, on the database alias of the engine."""
    return NodeRunQuerySet(NodeRun, using=write_alias())


def runs() -> TreeRunQuerySet:
    """Return all runs, on the database alias of the engine."""
    return TreeRunQuerySet(TreeRun, using=write_alias())


def check(sources: Iterable[_State], target: _State) -> None:
    """Check that the transition table permits the transitions from some states to another.

    Raises:
        InvalidTransition: if it does not permit one of them.
    """
    table: Mapping[Any, frozenset[Any]] = NODE_TRANSITIONS if isinstance(target, NodeState) else RUN_TRANSITIONS
    for source in sources:
        if target not in table[source]:
            raise InvalidTransition(f"no {_kind(source)} moves from {source} to {target}")


def move(
    queryset: Any, sources: Iterable[_State], target: _State, cases: Sequence[tuple[Q, _State]] = (), /, **values: Any
) -> int:
    """Move the nodes or runs that are in one of the source states to the target state.

    If this ends runs, the processes that wait for them are notified (see :mod:`django_tasktree.engine.notifications`).

    Args:
        queryset: the nodes or runs; it must not be sliced.
        sources: the states that the caller expects.
        target: the new state of those that match no case.
        cases: pairs of a condition and a new state; the first condition that is true applies.
        **values: other columns to set in the same UPDATE.

    Returns:
        How many rows were moved; 0 if none was in a source state, for example because another process was faster.

    Raises:
        InvalidTransition: if the transition table does not permit one of the transitions.
    """
    sources = tuple(sources)
    check(sources, target)
    for _, state in cases:
        check(sources, state)
    guard = {"state": sources[0]} if len(sources) == 1 else {"state__in": sources}
    moved = queryset.filter(**guard)
    ends_runs = isinstance(target, RunState) and target in RUN_FINAL
    with announcing_ends(connections[moved.db]) if ends_runs else nullcontext():
        return int(moved.update(state=_by_case(cases, target) if cases else target, **values))


def _by_case(cases: Sequence[tuple[Q, _State]], target: _State) -> Case:
    whens = (When(condition, then=Value(state)) for condition, state in cases)
    return Case(*whens, default=Value(target), output_field=ExactCharField())


def begin(row: NodeRun | TreeRun, state: NodeState | RunState) -> None:
    """Set the initial state of a row before it is inserted.

    Raises:
        InvalidTransition: if the state is not an initial state of nodes or of runs.
    """
    if state not in INITIAL_STATES[type(state)]:
        raise InvalidTransition(f"no {_kind(state)} begins as {state}")
    row.state = state


def _kind(state: NodeState | RunState) -> str:
    return "node" if isinstance(state, NodeState) else "run"


@dataclass(frozen=True, slots=True)
class SqlMove:
    """A transition of nodes, as parts of a hand-written UPDATE.

    It is checked when it is created. The code that executes the statement calls :meth:`check` again, so that no
    statement bypasses the transition table.

    Attributes:
        sources: the permitted states of the nodes before the UPDATE.
        target: the new state of nodes that match no case; None: they keep their state.
        cases: pairs of an SQL condition and a new state; the first condition that is true applies.

    Raises:
        InvalidTransition: if the transition table does not permit one of the transitions.
    """

    sources: tuple[NodeState, ...]
    target: NodeState | None
    cases: tuple[tuple[str, NodeState], ...] = ()

    def __post_init__(self) -> None:
        """Check the transitions for the first time."""
        self.check()

    def check(self) -> None:
        """Check that the transition table permits all transitions.

        Raises:
            InvalidTransition: if it does not permit one of them.
        """
        for _, target in self.cases:
            check(self.sources, target)
        if self.target is not None:
            check(self.sources, self.target)

    def assignment(self, table: str = "") -> str:
        """Return the assignment of the new state, for the SET clause.

        Args:
            table: the table's alias with a dot, if the column ``state`` must be qualified.
        """
        last = f"{table}state" if self.target is None else literal(self.target)
        if not self.cases:
            return f"state = {last}"
        cases = " ".join(f"WHEN {condition} THEN {literal(target)}" for condition, target in self.cases)
        return f"state = CASE {cases} ELSE {last} END"

    def guard(self, table: str = "") -> str:
        """Return the condition on the old state, for the WHERE clause; ``table`` as in :meth:`assignment`."""
        return f"{table}state IN ({literals(self.sources)})"
