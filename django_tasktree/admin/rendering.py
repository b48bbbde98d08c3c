"""HTML fragments for states, times and durations, without inline styles, so that a strict CSP can be used."""

from datetime import datetime, timedelta
from typing import Any

from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from django_tasktree.encoding import times
from django_tasktree.models import NodeRun, TreeRun
from django_tasktree.reporting import titles
from django_tasktree.reporting.durations import duration_text
from django_tasktree.reporting.not_reached import is_not_reached
from django_tasktree.states import NodeState, RunState

#: Shown if there is no value, as in Django's admin.
EMPTY = "-"

#: Return the title of a run.
run_title = titles.run_title


def badge(state: str, label: Any) -> SafeString:
    """Return a state as a coloured label.

    Args:
        state: the state, which selects the CSS class.
        label: the text.
    """
    return format_html('<span class="tasktree-state tasktree-state-{}">{}</span>', state.lower(), label)


def run_badge(run: TreeRun) -> SafeString:
    """Return the state of a run as a coloured label."""
    return badge(run.state, RunState(run.state).label)


def node_badge(node: NodeRun, run: TreeRun) -> SafeString:
    """Return the state of a node as a coloured label; see :func:`node_state_badge`."""
    return node_state_badge(node.state, run)


def node_state_badge(state: str, run: TreeRun) -> SafeString:
    """Return a state of nodes as a coloured label, which is "not reached" if that is what it means in the run."""
    if is_not_reached(state, run.state):
        return badge("unreached", _("not reached"))
    return badge(state, NodeState(state).label)


def moment(value: datetime | None) -> SafeString | str:
    """Return a point in time in the current time zone, to the second; the line may break between date and time.

    The date has the format of the language. The time is always in 24-hour format, because the time formats of few
    languages include seconds.
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
    """Return a duration as readable text."""
    return EMPTY if value is None else duration_text(value)


def lasting(row: TreeRun | NodeRun, *, text: bool = True) -> SafeString | str:
    """Return the duration of a run or node; if it has not ended, a script in the browser updates it.

    Args:
        row: the run or node.
        text: whether the duration includes its text while the script updates it. Live updates leave the text out, so
            that the response, and with it the ETag, changes only if the row changes.
    """
    taken = row.duration
    if taken is None or row.started_at is None or row.finished_at is not None:
        return duration(taken)
    return growing(times.instant(row.started_at) + getattr(row, "idle", timedelta()), taken, text=text)


def growing(since: datetime, taken: timedelta, *, text: bool = True) -> SafeString:
    """Return a duration that has not ended; a script in the browser updates it.

    Args:
        since: the start time.
        taken: the duration until now.
        text: whether to include the text; see :func:`lasting`.
    """
    shown = duration_text(taken) if text else ""
    return format_html('<span data-tasktree-since="{}">{}</span>', times.instant(since).isoformat(), shown)
