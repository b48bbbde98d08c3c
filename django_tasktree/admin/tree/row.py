"""A node in the table of a tree."""

from dataclasses import dataclass
from typing import Any, ClassVar
from uuid import UUID

from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext

from django_tasktree.admin import rendering
from django_tasktree.encoding.text import short_name
from django_tasktree.encoding.wait_spec import WaitSpec
from django_tasktree.models import NodeRun, TreeRun
from django_tasktree.reporting.call_texts import call_text
from django_tasktree.reporting.node_columns import COLUMNS, with_heads
from django_tasktree.reporting.numbers import number_text
from django_tasktree.reporting.wait_texts import wait_text
from django_tasktree.states import NodeState

#: The maximum indentation, in levels.
_MAX_DEPTH = 12


def node_rows() -> Any:
    """Return a queryset with only the columns of the table, and with the beginning of the arguments."""
    return with_heads(NodeRun.objects.only(*COLUMNS, "run_id", "run_when"), "args", "kwargs")


@dataclass(frozen=True)
class GapRow:
    """A row that takes the place of children which the table leaves out.

    Attributes:
        parent_id: the ID of their parent; None: the run.
        depth: see :class:`TreeRow`.
        number: the number of children that are left out.
        failed: how many of those failed, or have a failed node below them.
        failed_is_cut: whether there may be more of these.
    """

    parent_id: UUID | None
    depth: int
    number: int
    failed: int
    failed_is_cut: bool
    is_gap: ClassVar[bool] = True

    @property
    def indent(self) -> int:
        """The indentation, in levels."""
        return min(self.depth, _MAX_DEPTH)

    @property
    def text(self) -> str:
        """The numbers, for people: ``… 970 more (3 failed)``."""
        text = ngettext("… %(number)s more", "… %(number)s more", self.number) % {"number": number_text(self.number)}
        if not self.failed:
            return text
        number = number_text(self.failed) + ("+" if self.failed_is_cut else "")
        return f"{text} ({ngettext('%(number)s failed', '%(number)s failed', self.failed) % {'number': number}})"


@dataclass(frozen=True)
class TreeRow:
    """A row of the table.

    Attributes:
        run: the run.
        node: a node from ``node_rows()``.
        depth: the number of levels below the nodes that the page lists; 0 for these themselves.
        hidden: the number of its children that the table leaves out.
        answer: the URL of the form that completes the node, if it waits for an answer that the user may give.
    """

    run: TreeRun
    node: Any
    depth: int
    hidden: int
    answer: str = ""

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
        """The arguments of the node, written like those of a call; if it has a label, with the name of the task.

        Of a wait node, it is what the node waits for.
        """
        if self.node.is_wait:
            return f" {wait_text(self.node.wait, self.node.state, self.node.eta)}"
        text = call_text(self.node.task, self.node.head_of_args, self.node.head_of_kwargs)
        return text[len(short_name(self.node.task)) :] if self.node.label is None else text

    @property
    def badge(self) -> SafeString:
        """The state as a coloured label, with the link to the form that completes the node."""
        badge = rendering.node_badge(self.node, self.run)
        if not self.answer:
            return badge
        return format_html('{} <a class="tasktree-answer" href="{}">{}…</a>', badge, self.answer, gettext("Answer"))

    @property
    def awaits_answer(self) -> bool:
        """Whether the node waits for an event or a person, and not only for a time."""
        return self.node.is_wait and self.node.state == NodeState.WAITING and bool(WaitSpec.read(self.node.wait).event)

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
