"""Texts of durations for people."""

from datetime import timedelta

from django.utils.formats import number_format
from django.utils.translation import gettext


def duration_texts() -> dict[str, str]:
    """Return the translated formats of durations of at least a second, by their largest unit.

    The browser uses the same formats to update the durations of running nodes and runs.
    """
    return {
        "seconds": gettext("%(number)s s"),
        "minutes": gettext("%(minutes)d min %(seconds)02d s"),
        "hours": gettext("%(hours)d h %(minutes)02d min"),
    }


def duration_text(value: timedelta) -> str:
    """Return the text of a duration, such as ``12 ms``, ``3.4 s``, ``5 min 07 s`` or ``2 h 05 min``."""
    seconds = max(value.total_seconds(), 0)
    if seconds < 1:
        return gettext("%(number)d ms") % {"number": round(seconds * 1000)}
    texts = duration_texts()
    if seconds < 60:
        digits = 1 if seconds < 10 else 0
        return texts["seconds"] % {"number": number_format(round(seconds, digits), digits)}
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return texts["minutes"] % {"minutes": minutes, "seconds": rest}
    hours, minutes = divmod(minutes, 60)
    return texts["hours"] % {"hours": hours, "minutes": minutes}
