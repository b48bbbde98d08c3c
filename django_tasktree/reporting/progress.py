"""The progress of runs."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django_tasktree.models import NodeRun, TreeRun
from django_tasktree.reporting.query_cache import recent
from django_tasktree.states import NODE_FINAL, RUN_FINAL, NodeState


@dataclass(frozen=True)
class Progress:
    """The numbers of a run's nodes.

    Attributes:
        state: the state of the run.
        total: the number of all nodes; it may increase while the run is running.
        done: the number of finished nodes; the number of all nodes if the run has ended.
        by_state: state -> number of nodes, without states that have no nodes.
    """

    state: str
    total: int
    done: int
    by_state: dict[str, int]

    @property
    def failed(self) -> int:
        """The number of nodes whose state is FAILURE."""
        return self.by_state.get(NodeState.FAILURE, 0)

    @property
    def fraction(self) -> float:
        """The proportion of nodes that are done, from 0 to 1."""
        return self.done / self.total if self.total else 1.0

    @classmethod
    def count(cls, state: str, by_state: dict[str, int]) -> "Progress":
        """Return the progress for the state of a run and the numbers of its nodes by state."""
        total = sum(by_state.values())
        ended = sum(number for node_state, number in by_state.items() if node_state in NODE_FINAL)
        return cls(state, total, total if state in RUN_FINAL else ended, by_state)


def progress_of(run: TreeRun) -> Progress:
    """Return the progress of one run, counted in the database."""
    return progress_of_all([run])[run.id]


def recent_progress_of(run: TreeRun) -> Progress:
    """Return the progress of one run, which may come from :mod:`django_tasktree.reporting.query_cache`."""
    progress: Progress = recent(("progress", run.id, run.state, run.finished_at), lambda: progress_of(run))
    return progress


def progress_of_all(runs: Any) -> dict[UUID, Progress]:
    """Return the progress of several runs by their IDs, counted with one query."""
    states = {run.id: run.state for run in runs}
    counts = NodeRun.objects.state_counts(states)
    return {run_id: Progress.count(states[run_id], by_state) for run_id, by_state in counts.items()}
