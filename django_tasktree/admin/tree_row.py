"""A node in the table of a tree."""

from dataclasses import dataclass
from typing import Any

from django.db.models.functions import Substr
from django.utils.safestring import SafeString

from django_tasktree.admin import rendering
from django_tasktree.call_texts import call_text
from django_tasktree.models import NodeRun, TreeRun
from django_tasktree.states import NODE_FINAL
from django_tasktree.text import short_name

#: How many characters of the arguments are read.
_HEAD = 1_000
_DEEPEST = 12
_COLUMNS = (
    "parent_id",
    "run_id",
    "position",
    "child_count",
    "is_gather",
    "task",
    "state",
    "attempts",
    "started_at",
    "finished_at",
    "run_when",
)


def node_rows() -> Any:
    """Nodes with the columns of the table only: never a whole result, traceback or argument list."""
    heads = {"head_of_args": Substr("args", 1, _HEAD), "head_of_kwargs": Substr("kwargs", 1, _HEAD)}
    return NodeRun.objects.only(*_COLUMNS).annotate(**heads)


@dataclass(frozen=True)
class TreeRow:
    """A row of the table.

    Attributes:
        run: the run.
        node: one of ``node_rows()``.
        depth: how far it is indented; 0 for the nodes that the page is about.
        hidden: how many of its children the table leaves out.
    """

    run: TreeRun
    node: Any
    depth: int
    hidden: int

    @property
    def indent(self) -> int:
        """How far it is indented; the deepest are not any further, so that something is left of them."""
        return min(self.depth, _DEEPEST)

    @property
    def shown(self) -> int:
        """How many of its children the table has."""
        return int(self.node.child_count) - self.hidden

    @property
    def is_over(self) -> bool:
        """Whether it has a final state."""
        return self.node.state in NODE_FINAL

    @property
    def name(self) -> str:
        """The last part of the task's name."""
        return short_name(self.node.task)

    @property
    def call(self) -> str:
        """The node as a call, without the task's name."""
        return call_text(self.node.task, self.node.head_of_args, self.node.head_of_kwargs)[len(self.name) :]

    @property
    def badge(self) -> SafeString:
        """The state."""
        return rendering.node_badge(self.node, self.run)

    @property
    def duration(self) -> SafeString | str:
        """How long the last attempt took."""
        return rendering.lasting(self.node)

    @property
    def duration_at_a_look(self) -> SafeString | str:
        """The same, without what the browser counts itself."""
        return rendering.lasting(self.node, text=False)

    @property
    def run_when(self) -> str:
        """When the node runs, where that is not the usual."""
        return "" if self.node.run_when == "success" else self.node.get_run_when_display()
