"""How far a run is, as a bar of the states' colours and in words: the same in the admin and on users' own pages."""

from typing import Any

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext

from django_tasktree.number_texts import number_text
from django_tasktree.progress import Progress
from django_tasktree.states import RUN_FINAL, NodeState

#: The parts of a bar, from left to right: the colour's name, and the states that it counts.
_PARTS = (
    ("success", (NodeState.SUCCESS,)),
    ("failure", (NodeState.FAILURE,)),
    ("revoked", (NodeState.REVOKED,)),
    ("skipped", (NodeState.SKIPPED,)),
    ("started", (NodeState.STARTED, NodeState.RETRY)),
    ("queued", (NodeState.QUEUED,)),
)


def progress_text(progress: Progress) -> str:
    """Show counts: ``7 / 10, 1 failed``."""
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
    """Show progress as a bar and in words."""
    return format_html(
        '<span class="tasktree-progress">{} <span class="tasktree-count">{}</span></span>',
        bar(progress),
        progress_text(progress),
    )


def bar(progress: Progress) -> SafeString:
    """Draw the bar; for those who can't see it there are the words."""
    parts = [part for part in segments(progress) if part["width"]]
    drawn = format_html_join("", '<rect class="tasktree-fill-{name}" x="{x}" width="{width}" height="8"></rect>', parts)
    return format_html(
        '<svg class="tasktree-bar" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">{}</svg>', drawn
    )


def segments(progress: Progress) -> list[dict[str, Any]]:
    """Give the bar's parts; their places are attributes of SVG, in hundredths, which need no style."""
    parts, left = [], 0.0
    for name, states in _PARTS:
        number = sum(progress.by_state.get(state, 0) for state in states)
        if name == "skipped" and progress.state in RUN_FINAL:
            # What was not reached.
            number += progress.by_state.get(NodeState.PENDING, 0)
        width = 100 * number / max(progress.total, 1)
        parts.append({"name": name, "x": round(left, 2), "width": round(width, 2)})
        left += width
    return parts
