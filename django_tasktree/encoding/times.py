"""Points in time: the only module that reads clocks, converts between time zones and calculates with times.

A point in time has three forms.

* An *instant* is aware and in UTC. Messages contain instants, so that neither Celery's ``enable_utc`` nor its
  ``timezone`` changes their meaning. All calculations use instants: subtracting or comparing local times is wrong by an
  hour around each change of daylight saving time.
* A *stored* time is the form of the models' fields and follows Django's rule: aware if ``USE_TZ`` is on, else naive and
  local to ``TIME_ZONE``; ``fold`` distinguishes the two readings of a repeated hour.
* A *naive time from a user* is local to Django's current time zone if ``USE_TZ`` is on, else to ``TIME_ZONE``. In a
  repeated hour it is the first reading, unless its ``fold`` is 1; in a skipped hour it is moved forward by the length
  of the gap.
"""

from datetime import MAXYEAR, date, datetime, time, timedelta, timezone, tzinfo
from typing import Any

from django.conf import settings
from django.utils import timezone as django_timezone
from django.utils.dateparse import parse_datetime

UTC = timezone.utc
#: More than the largest difference between the dates of two places.
_WIDEST = timedelta(days=2)


def instant_now() -> datetime:
    """Return the time of this machine's clock, as an instant."""
    return datetime.now(UTC)


def now() -> datetime:
    """Return the time of this machine's clock, as a stored time."""
    return as_stored(instant_now())


def instant(moment: datetime) -> datetime:
    """Return a point in time as an instant.

    Args:
        moment: a stored time, or one from a user.

    Raises:
        TypeError: if it is not a ``datetime``.
        ValueError: if it is so near the end of the calendar that it has no time in UTC.
    """
    if not isinstance(moment, datetime):
        raise TypeError(f"{moment!r} is not a date with a time: give a datetime.datetime")
    aware = moment if django_timezone.is_aware(moment) else moment.replace(tzinfo=_zone_of_naive_times())
    try:
        return aware.astimezone(UTC)
    except OverflowError as exc:
        raise ValueError(f"{moment} has no time in UTC: it is out of the calendar's range") from exc


def as_stored(moment: datetime) -> datetime:
    """Return a point in time as a stored time.

    Args:
        moment: an instant, a stored time, or one from a user.

    Raises:
        TypeError, ValueError: see :func:`instant`.
    """
    at = instant(moment)
    if settings.USE_TZ:
        return at
    try:
        return at.astimezone(django_timezone.get_default_timezone()).replace(tzinfo=None)
    except OverflowError as exc:
        raise ValueError(f"{moment} has no time in {settings.TIME_ZONE}: it is out of the calendar's range") from exc


def read(value: Any) -> datetime:
    """Return a point in time from a user or a message as an instant.

    Args:
        value: a ``datetime``, or an ISO 8601 text.

    Raises:
        TypeError, ValueError: if it is neither; see also :func:`instant`.
    """
    if not isinstance(value, str):
        return instant(value)
    moment = parse_datetime(value)
    if moment is None:
        raise ValueError(f"{value!r} is not a date with a time, as in 2030-01-31T12:00:00+00:00")
    return instant(moment)


def after(moment: datetime, seconds: float) -> datetime:
    """Return the stored time that is a number of seconds after another.

    Args:
        moment: a stored time.
        seconds: the number of seconds; negative for an earlier time.

    Raises:
        ValueError: if the result is out of the calendar's range.
    """
    try:
        return as_stored(instant(moment) + timedelta(seconds=seconds))
    except OverflowError as exc:
        raise ValueError(f"{seconds!r} seconds after {moment} is out of the calendar's range") from exc


def duration_of(**units: float) -> timedelta:
    """Return a duration, or the longest possible one if it is longer; the arguments are those of ``timedelta``."""
    try:
        return timedelta(**units)
    except OverflowError:
        return timedelta.max


def elapsed(start: datetime, end: datetime | None = None) -> timedelta:
    """Return the duration between two points in time.

    Args:
        start: a stored time.
        end: a stored time; by default now.
    """
    return (instant_now() if end is None else instant(end)) - instant(start)


def fits_everywhere(moment: datetime) -> bool:
    """Return whether a time is in the calendar's range in every time zone.

    Args:
        moment: a stored time, or one from a user.
    """
    aware = moment if django_timezone.is_aware(moment) else moment.replace(tzinfo=UTC)
    return date.min + _WIDEST < aware.date() < date.max - _WIDEST


def as_given(moment: datetime) -> datetime:
    """Return a time from a user in the form of Django's form fields: aware if ``USE_TZ`` is on, else naive."""
    if settings.USE_TZ:
        return moment if django_timezone.is_aware(moment) else django_timezone.make_aware(moment)
    return as_stored(moment) if django_timezone.is_aware(moment) else moment


def for_json(moment: datetime | None) -> datetime | None:
    """Return a stored time as an instant, so that its JSON includes the time zone; None if there is no time."""
    return None if moment is None else instant(moment)


def local(moment: datetime) -> datetime:
    """Return a stored time for people: aware, in the current time zone; without ``USE_TZ``, in ``TIME_ZONE``."""
    return _in_zone(instant(moment), _zone_of_naive_times())


def text(moment: datetime) -> str:
    """Return the text of a stored time for logs and messages, to the second and with the time zone."""
    return f"{_in_zone(instant(moment), django_timezone.get_default_timezone()):%Y-%m-%d %H:%M:%S %Z}"


def for_database(moment: datetime, connection: Any) -> Any:
    """Return a time in the form that a database's driver accepts.

    If ``USE_TZ`` is off, a database without a type for aware times stores UTC: a local time would be ambiguous in the
    hour that is repeated when daylight saving time ends.

    Args:
        moment: a stored time or an instant.
        connection: the connection to the database.
    """
    at = instant(moment)
    if holds_plain_utc(connection):
        at = at.replace(tzinfo=None)
    return connection.ops.adapt_datetimefield_value(at)


def from_database(value: datetime, connection: Any) -> datetime:
    """Return the stored time for a value that Django read from a database; see :func:`for_database`."""
    return as_stored(value.replace(tzinfo=UTC)) if holds_plain_utc(connection) else value


def holds_plain_utc(connection: Any) -> bool:
    """Return whether a database stores times in UTC in a type without a time zone; see :func:`for_database`."""
    return not settings.USE_TZ and not connection.features.supports_timezones


def zone_name() -> str:
    """Return the name of the time zone in which times are shown to people."""
    zone = _zone_of_naive_times()
    return zone.tzname(None) or str(zone)


def _in_zone(at: datetime, zone: tzinfo) -> datetime:
    """Convert an instant to a time zone; if it is out of the calendar's range there, return the limit of the range."""
    try:
        return at.astimezone(zone)
    except OverflowError:
        return (
            datetime.combine(date.max, time.max, zone)
            if at.year == MAXYEAR
            else datetime.combine(date.min, time.min, zone)
        )


def _zone_of_naive_times() -> tzinfo:
    return django_timezone.get_current_timezone() if settings.USE_TZ else django_timezone.get_default_timezone()
