"""Read the columns of nodes that are shown; arguments and errors only in part, results and tracebacks not at all."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django_tasktree.encoding import times
from django_tasktree.encoding.text import short_name
from django_tasktree.management.display.labels import call_label, error_label, printable, wait_label
from django_tasktree.models import NodeRun
from django_tasktree.reporting.node_columns import COLUMNS, with_heads
from django_tasktree.states import NODE_FAILED


@dataclass(frozen=True)
class NodeRow:
    """A node to show. The fields are those of ``NodeRun``, first ``COLUMNS``; arguments and errors are cut."""

    id: UUID
    parent_id: UUID | None
    position: int
    child_count: int
    is_gather: bool
    quorum: str
    label: str | None
    task: str
    state: str
    attempts: int
    started_at: datetime | None
    finished_at: datetime | None
    sub_run_id: UUID | None
    wait: str | None
    eta: datetime | None
    error_type: str
    error_message: str
    args: str
    kwargs: str

    @property
    def call(self) -> str:
        """The node as a call; of a wait node, what it waits for."""
        if self.wait is not None:
            return wait_label(self.wait, self.state, self.eta)
        return call_label(self.task, self.args, self.kwargs)

    @property
    def title(self) -> str:
        """The label of the node, or the last part of its task's name."""
        return printable(self.label or short_name(self.task))

    @property
    def text(self) -> str:
        """The label of the node, if it has one, and the node as a call. That of a wait node may say it already."""
        says_label = self.label is None or (self.wait is not None and f"“{self.label}”" in self.call)
        return self.call if says_label else f"{self.title}: {self.call}"

    @property
    def error(self) -> str:
        """The error of a node that failed, in one line."""
        return error_label(self.error_type, self.error_message) if self.state in NODE_FAILED else ""

    @property
    def duration(self) -> timedelta | None:
        """The duration of the last attempt, until now if it is still running; None before the first one."""
        return None if self.started_at is None else times.elapsed(self.started_at, self.finished_at)

    @property
    def order(self) -> tuple[bool, int]:
        """The sort key among siblings: gather nodes run last, so they are shown last."""
        return self.is_gather, self.position


def nodes_of(run_id: UUID) -> Any:
    """Return the queryset of a run's nodes, for :func:`read`."""
    return NodeRun.objects.filter(run_id=run_id)


def read(nodes: Any) -> list[NodeRow]:
    """Return the nodes of a queryset, with the shown columns only; one query."""
    rows = with_heads(nodes, "args", "kwargs", "error_message")
    return [
        NodeRow(*columns)
        for columns in rows.values_list(
            *COLUMNS, "error_type", "head_of_error_message", "head_of_args", "head_of_kwargs"
        )
    ]
