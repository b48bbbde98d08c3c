"""Texts of what wait nodes wait for."""

from datetime import datetime

from django.utils.formats import date_format
from django.utils.translation import gettext

from django_tasktree.encoding import times
from django_tasktree.encoding.wait_spec import WaitSpec
from django_tasktree.states import NodeState


def wait_text(wait: str, state: str, eta: datetime | None, *, is_numeric: bool = True) -> str:
    """Return what a wait node waits for: ``wait for “approved” until 05/12/2026, 14:00``.

    Args:
        wait: what it waits for, as stored.
        state: its state; only the text of an open wait has the time.
        eta: the stored time at which the wait ends by itself; None if it does not, or has not begun.
        is_numeric: whether the date is the short one of the language; otherwise it is like ``12 May``.
    """
    event = WaitSpec.read(wait).event
    until = _moment(eta, is_numeric) if eta is not None and state == NodeState.WAITING else ""
    if event and until:
        return gettext("wait for “%(event)s” until %(time)s") % {"event": event, "time": until}
    if event:
        return gettext("wait for “%(event)s”") % {"event": event}
    return gettext("wait until %(time)s") % {"time": until} if until else gettext("wait")


def _moment(eta: datetime, is_numeric: bool) -> str:
    at = times.local(eta)
    if is_numeric:
        day = date_format(at, "SHORT_DATE_FORMAT")
    else:
        day = date_format(at, "j M" if at.year == times.local(times.now()).year else "j M Y")
    return f"{day}, {date_format(at, 'H:i')}"
