"""The progress of runs."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from django_tasktree.models import TreeRun
from django_tasktree.reporting import node_counts
from django_tasktree.reporting.node_counts import Counts, Look
from django_tasktree.states import NODE_FINAL, RUN_FINAL, NodeState


@dataclass(frozen=True)
class Progress:
    """The numbers of a run's nodes.

    Attributes:
        state: the state of the run.
        total: the number of all nodes; it may increase while the run is running.
        done: the number of finished nodes; the number of all nodes if the run has ended.
        by_state: state -> number of nodes, without states that have no nodes.
        counted_at: when the nodes were counted; None if they were not.
        is_counted: False on pages if the run has more than ``total`` nodes, which have not been counted yet. The other
            numbers are 0 then.
    """

    state: str
    total: int
    done: int
    by_state: dict[str, int]
    counted_at: datetime | None = field(default=None, compare=False, repr=False)
    is_counted: bool = field(default=True, repr=False)

    @property
    def failed(self) -> int:
        """The number of nodes whose state is FAILURE."""
        return self.by_state.get(NodeState.FAILURE, 0)

    @property
    def fraction(self) -> float:
        """The proportion of nodes that are done, from 0 to 1."""
        return self.done / self.total if self.total else 1.0

    @classmethod
    def of(cls, state: str, counts: Counts | None) -> "Progress":
        """Return the progress for the state of a run and the counts of its nodes."""
        if counts is None:
            return cls(state, node_counts.SMALL, 0, {}, is_counted=False)
        by_state = counts.by_state
        total = sum(by_state.values())
        ended = sum(number for node_state, number in by_state.items() if node_state in NODE_FINAL)
        return cls(state, total, total if state in RUN_FINAL else ended, by_state, counts.counted_at)


def progress_of(run: TreeRun, look: Look = Look.EXACT) -> Progress:
    """Return the progress of one run; see :func:`progress_of_all`."""
    return progress_of_all([run], look)[run.id]


def progress_of_all(runs: Iterable[TreeRun], look: Look = Look.EXACT) -> dict[UUID, Progress]:
    """Return the progress of several runs by their IDs.

    Args:
        runs: the runs, just read.
        look: how much may be counted; see :mod:`django_tasktree.reporting.node_counts`.
    """
    rows = {run.id: run for run in runs}
    return {
        run_id: Progress.of(rows[run_id].state, counts)
        for run_id, counts in node_counts.counts_of(rows.values(), look).items()
    }
