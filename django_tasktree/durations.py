"""Durations as people read them."""

from datetime import timedelta

from django.utils.formats import number_format
from django.utils.translation import gettext


def duration_text(value: timedelta) -> str:
    """Show how long something took: ``12 ms``, ``3.4 s``, ``5 min 07 s``, ``2 h 05 min``."""
    seconds = max(value.total_seconds(), 0)
    if seconds < 1:
        return gettext("%(number)d ms") % {"number": round(seconds * 1000)}
    if seconds < 60:
        digits = 1 if seconds < 10 else 0
        return gettext("%(number)s s") % {"number": number_format(round(seconds, digits), digits)}
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return gettext("%(minutes)d min %(seconds)02d s") % {"minutes": minutes, "seconds": rest}
    hours, minutes = divmod(minutes, 60)
    return gettext("%(hours)d h %(minutes)02d min") % {"hours": hours, "minutes": minutes}
