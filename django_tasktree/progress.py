"""How far a run is."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django_tasktree.models import NodeRun, TreeRun
from django_tasktree.recent import recent
from django_tasktree.states import NODE_FINAL, RUN_FINAL, NodeState


@dataclass(frozen=True)
class Progress:
    """Counts of a run's nodes.

    Attributes:
        state: the run's state.
        total: all nodes; it may grow while the run goes on.
        done: nodes that will not change any more: all of them once the run has ended.
        by_state: state -> number of nodes, without those that have none.
    """

    state: str
    total: int
    done: int
    by_state: dict[str, int]

    @property
    def failed(self) -> int:
        """How many nodes failed."""
        return self.by_state.get(NodeState.FAILURE, 0)

    @property
    def fraction(self) -> float:
        """The share of nodes that are done, from 0 to 1."""
        return self.done / self.total if self.total else 1.0

    @classmethod
    def count(cls, state: str, by_state: dict[str, int]) -> "Progress":
        """Sum up counts by state."""
        total = sum(by_state.values())
        ended = sum(number for node_state, number in by_state.items() if node_state in NODE_FINAL)
        return cls(state, total, total if state in RUN_FINAL else ended, by_state)


def progress_of(run: TreeRun) -> Progress:
    """Count the nodes of one run."""
    return progress_of_all([run])[run.id]


def recent_progress_of(run: TreeRun) -> Progress:
    """Count the nodes of one run, or give what was counted lately; see :mod:`django_tasktree.recent`."""
    found: Progress = recent(("progress", run.id, run.state, run.finished_at), lambda: progress_of(run))
    return found


def progress_of_all(runs: Any) -> dict[UUID, Progress]:
    """Count the nodes of several runs, in one query."""
    states = {run.id: run.state for run in runs}
    counts = NodeRun.objects.state_counts(states)
    return {run_id: Progress.count(states[run_id], by_state) for run_id, by_state in counts.items()}
