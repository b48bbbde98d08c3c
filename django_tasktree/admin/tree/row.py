"""A node in the table of a tree."""

from dataclasses import dataclass
from typing import Any

from django.utils.safestring import SafeString

from django_tasktree.admin import rendering
from django_tasktree.encoding.text import short_name
from django_tasktree.models import NodeRun, TreeRun
from django_tasktree.reporting.call_texts import call_text
from django_tasktree.reporting.node_columns import COLUMNS, with_heads

#: The maximum indentation, in levels.
_MAX_DEPTH = 12


def node_rows() -> Any:
    """Return a queryset with only the columns of the table, and with the beginning of the arguments."""
    return with_heads(NodeRun.objects.only(*COLUMNS, "run_id", "run_when"), "args", "kwargs")


@dataclass(frozen=True)
class TreeRow:
    """A row of the table.

    Attributes:
        run: the run.
        node: a node from ``node_rows()``.
        depth: the number of levels below the nodes that the page lists; 0 for these themselves.
        hidden: the number of its children that the table leaves out.
    """

    run: TreeRun
    node: Any
    depth: int
    hidden: int

    @property
    def indent(self) -> int:
        """The indentation, in levels; limited, so that there is room for the text of deep nodes."""
        return min(self.depth, _MAX_DEPTH)

    @property
    def shown(self) -> int:
        """The number of its children that the table has."""
        return int(self.node.child_count) - self.hidden

    @property
    def name(self) -> str:
        """The label, or the last part of the task's name."""
        return str(self.node.title)

    @property
    def call(self) -> str:
        """The arguments of the node, written like those of a call; if it has a label, with the name of the task."""
        text = call_text(self.node.task, self.node.head_of_args, self.node.head_of_kwargs)
        return text[len(short_name(self.node.task)) :] if self.node.label is None else text

    @property
    def badge(self) -> SafeString:
        """The state as a coloured label."""
        return rendering.node_badge(self.node, self.run)

    @property
    def duration(self) -> SafeString | str:
        """The duration of the last attempt, as HTML."""
        return rendering.lasting(self.node)

    @property
    def live_duration(self) -> SafeString | str:
        """The duration without its text if the browser updates it; see :func:`rendering.lasting`."""
        return rendering.lasting(self.node, text=False)

    @property
    def run_when(self) -> str:
        """The label of ``run_when``; empty for ``"success"``, the default."""
        return "" if self.node.run_when == "success" else self.node.get_run_when_display()
