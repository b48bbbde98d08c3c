"""The progress of a run as a coloured bar and as text, for the admin and for the pages of projects."""

from typing import Any

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext

from django_tasktree.reporting.not_reached import is_not_reached
from django_tasktree.reporting.numbers import number_text
from django_tasktree.reporting.progress import Progress
from django_tasktree.states import NodeState

#: The parts of a bar from left to right: the name of the colour, and the states that it represents.
_PARTS = (
    ("success", (NodeState.SUCCESS,)),
    ("failure", (NodeState.FAILURE,)),
    ("revoked", (NodeState.REVOKED,)),
    ("skipped", (NodeState.SKIPPED,)),
    ("started", (NodeState.STARTED, NodeState.RETRY)),
    ("queued", (NodeState.QUEUED,)),
    ("waiting", (NodeState.WAITING,)),
)


def progress_text(progress: Progress) -> str:
    """Return the progress as text, such as ``7 / 10, 1 failed``."""
    if not progress.is_counted:
        return gettext("more than %(number)s nodes") % {"number": number_text(progress.total)}
    if not progress.total:
        return gettext("no nodes")
    text = f"{number_text(progress.done)} / {number_text(progress.total)}"
    if not progress.failed:
        return text
    failed = ngettext("%(number)s failed", "%(number)s failed", progress.failed) % {
        "number": number_text(progress.failed)
    }
    return f"{text}, {failed}"


def progress_bar(progress: Progress) -> SafeString:
    """Return the HTML of the bar with the text beside it."""
    return format_html(
        '<span class="tasktree-progress">{} <span class="tasktree-count">{}</span></span>',
        bar(progress),
        progress_text(progress),
    )


def bar(progress: Progress) -> SafeString:
    """Return the HTML of the bar, which is hidden from screen readers: the text has the same information."""
    parts = [part for part in segments(progress) if part["width"]]
    drawn = format_html_join("", '<rect class="tasktree-fill-{name}" x="{x}" width="{width}" height="8"></rect>', parts)
    return format_html(
        '<svg class="tasktree-bar" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">{}</svg>', drawn
    )


def segments(progress: Progress) -> list[dict[str, Any]]:
    """Return the name, position and width of each part of the bar, in hundredths of its width.

    They become attributes of SVG, which need no inline style.
    """
    parts, left = [], 0.0
    for name, states in _PARTS:
        number = sum(progress.by_state.get(state, 0) for state in states)
        if name == "skipped" and is_not_reached(NodeState.PENDING, progress.state):
            number += progress.by_state.get(NodeState.PENDING, 0)
        width = 100 * number / max(progress.total, 1)
        parts.append({"name": name, "x": round(left, 2), "width": round(width, 2)})
        left += width
    return parts
