"""Short pieces of HTML: badges, times. No inline styles, so that a strict content security policy holds."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from django_tasktree import times
from django_tasktree.durations import duration_text
from django_tasktree.models import NodeRun, TreeRun
from django_tasktree.states import NodeState, RunState

#: What stands where there is nothing to show, as in the stock admin.
EMPTY = "-"


def short_id(key: UUID) -> str:
    """Show a key's first 13 characters: its time to the millisecond, nearly always enough to tell runs apart."""
    return str(key)[:13]


def run_title(run: TreeRun) -> str:
    """Show the name of a run, or its short key."""
    return run.name or short_id(run.id)


def badge(state: str, label: Any) -> SafeString:
    """Show a state as a coloured word."""
    return format_html('<span class="tasktree-state tasktree-state-{}">{}</span>', state.lower(), label)


def run_badge(run: TreeRun) -> SafeString:
    """Show the state of a run."""
    return badge(run.state, RunState(run.state).label)


def node_badge(node: NodeRun, run: TreeRun) -> SafeString:
    """Show the state of a node; one that waits for nothing any more was not reached."""
    if node.state == NodeState.PENDING and run.is_over:
        return badge("unreached", _("not reached"))
    return badge(node.state, NodeState(node.state).label)


def moment(value: datetime | None) -> SafeString | str:
    """Show a point in time to the second, in the current time zone; it may wrap between date and time.

    The date is written as the language does; the time in 24 hours, since few languages' formats have seconds.
    """
    if value is None:
        return EMPTY
    local = times.local(value)
    return format_html(
        '<time datetime="{}"><span class="tasktree-moment">{}</span> <span class="tasktree-moment">{}</span></time>',
        local.isoformat(),
        date_format(local, "SHORT_DATE_FORMAT"),
        date_format(local, "H:i:s"),
    )


def duration(value: timedelta | None) -> str:
    """Show how long something took, as people read it."""
    return EMPTY if value is None else duration_text(value)


def lasting(row: TreeRun | NodeRun, *, text: bool = True) -> SafeString | str:
    """Show how long a run or a node has taken; while it goes on, the browser counts.

    Args:
        row: the run or node.
        text: leave the text out where the browser counts already: the answer is the same as long as nothing changes.
    """
    taken = row.duration
    if taken is None or row.started_at is None or row.finished_at is not None:
        return duration(taken)
    since = times.instant(row.started_at) + getattr(row, "idle", timedelta())
    return format_html(
        '<span data-tasktree-since="{}">{}</span>', since.isoformat(), duration_text(taken) if text else ""
    )
