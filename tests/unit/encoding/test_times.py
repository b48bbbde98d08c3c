"""Times near the limits of the calendar."""

from datetime import datetime, timezone

import pytest
from django.utils import timezone as django_timezone

from django_tasktree.admin import rendering
from django_tasktree.encoding import times

LAST = datetime(9999, 12, 31, 23, 59, 59, tzinfo=timezone.utc)
FIRST = datetime(1, 1, 1, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("moment", "zone", "shown"),
    [
        (LAST, "Asia/Tokyo", "9999-12-31"),
        (LAST, "America/New_York", "9999-12-31"),
        (FIRST, "America/New_York", "0001-01-01"),
        (FIRST, "Asia/Tokyo", "0001-01-01"),
    ],
)
def test_extreme_times_are_shown_in_every_time_zone(settings, moment, zone, shown):
    with django_timezone.override(zone):
        assert f"{times.local(moment):%Y-%m-%d}".rjust(10, "0") == shown
        assert "<time" in rendering.moment(moment)
    settings.TIME_ZONE = zone
    assert times.text(moment).split()[0].rjust(10, "0") == shown


@pytest.mark.parametrize(
    ("moment", "fits"),
    [
        (LAST, False),
        (FIRST, False),
        (LAST.replace(tzinfo=None), False),
        (LAST.replace(day=1), True),
        (FIRST.replace(day=20), True),
    ],
)
def test_which_times_are_valid_in_every_time_zone(moment, fits):
    assert times.fits_everywhere(moment) is fits
