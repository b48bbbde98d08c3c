"""The part of a node's row that is shown: never a whole result, traceback or argument list."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models.functions import Substr

from django_tasktree import times
from django_tasktree.management.display.labels import call_label, error_label
from django_tasktree.models import NodeRun
from django_tasktree.states import NODE_FAILED

#: How many characters are read of what may be long.
_ARGS, _ERROR = 1000, 500

_COLUMNS = (
    "id",
    "parent_id",
    "position",
    "child_count",
    "is_gather",
    "task",
    "state",
    "attempts",
    "started_at",
    "finished_at",
    "error_type",
    "head_of_error",
    "head_of_args",
    "head_of_kwargs",
)


@dataclass(frozen=True)
class NodeRow:
    """A node as it is shown; the fields are those of ``NodeRun``, long ones cut."""

    id: UUID
    parent_id: UUID | None
    position: int
    child_count: int
    is_gather: bool
    task: str
    state: str
    attempts: int
    started_at: datetime | None
    finished_at: datetime | None
    error_type: str
    error_message: str
    args: str
    kwargs: str

    @property
    def label(self) -> str:
        """The node as a call."""
        return call_label(self.task, self.args, self.kwargs)

    @property
    def error(self) -> str:
        """The error of a node that failed, in one line."""
        return error_label(self.error_type, self.error_message) if self.state in NODE_FAILED else ""

    @property
    def duration(self) -> timedelta | None:
        """How long the last attempt has taken, so far where it is still running."""
        return None if self.started_at is None else times.elapsed(self.started_at, self.finished_at)

    @property
    def order(self) -> tuple[bool, int]:
        """Where the node stands among its siblings: gather nodes run last, so they are shown last."""
        return self.is_gather, self.position


def nodes_of(run_id: UUID) -> Any:
    """The nodes of a run, with no column read but those that are shown."""
    return NodeRun.objects.filter(run_id=run_id)


def read(nodes: Any) -> list[NodeRow]:
    """Read nodes, in one query."""
    heads = {
        "head_of_args": Substr("args", 1, _ARGS),
        "head_of_kwargs": Substr("kwargs", 1, _ARGS),
        "head_of_error": Substr("error_message", 1, _ERROR),
    }
    return [NodeRow(*columns) for columns in nodes.annotate(**heads).values_list(*_COLUMNS)]
