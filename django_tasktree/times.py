"""Points in time: the one place that reads clocks, converts between time zones and reckons with times.

A point in time has three forms.

* An *instant* is aware and in UTC. Messages carry instants, so that neither Celery's ``enable_utc`` nor its
  ``timezone`` changes what they mean, and all arithmetic is done on instants: subtracting or comparing local times is
  wrong by an hour around each change of daylight saving time.
* A *stored* time is what the models take and give, and follows Django's rule: aware where ``USE_TZ`` is on, else naive
  and local to ``TIME_ZONE``; ``fold`` tells the two readings of a repeated hour apart.
* A *naive time from a user* is local to Django's current time zone where ``USE_TZ`` is on, else to ``TIME_ZONE``. In
  a repeated hour it is the first one, unless its ``fold`` is 1; in a skipped hour it moves on by the length of the gap.
"""

from datetime import datetime, timedelta, timezone, tzinfo
from typing import Any

from django.conf import settings
from django.utils import timezone as django_timezone
from django.utils.dateparse import parse_datetime

UTC = timezone.utc


def instant_now() -> datetime:
    """Read this machine's clock, as an instant."""
    return datetime.now(UTC)


def now() -> datetime:
    """Read this machine's clock, as the models store times."""
    return as_stored(instant_now())


def instant(moment: datetime) -> datetime:
    """Give a point in time as an instant.

    Args:
        moment: a stored time, or one that a user gave.

    Raises:
        TypeError: it is no ``datetime``.
        ValueError: it is so near the end of the calendar that it has no time in UTC.
    """
    if not isinstance(moment, datetime):
        raise TypeError(f"{moment!r} is not a date with a time: give a datetime.datetime")
    aware = moment if django_timezone.is_aware(moment) else moment.replace(tzinfo=_zone_of_naive_times())
    try:
        return aware.astimezone(UTC)
    except OverflowError as exc:
        raise ValueError(f"{moment} has no time in UTC: it is out of the calendar's range") from exc


def as_stored(moment: datetime) -> datetime:
    """Give a point in time as the models store it.

    Args:
        moment: an instant, a stored time, or one that a user gave.

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
    """Read a point in time that a user or a message gave, as an instant.

    Args:
        value: a ``datetime``, or one as ISO 8601 text.

    Raises:
        TypeError, ValueError: it is neither; see also :func:`instant`.
    """
    if not isinstance(value, str):
        return instant(value)
    moment = parse_datetime(value)
    if moment is None:
        raise ValueError(f"{value!r} is not a date with a time, as in 2030-01-31T12:00:00+00:00")
    return instant(moment)


def after(moment: datetime, seconds: float) -> datetime:
    """Give the point in time some seconds after another, as the models store it.

    Args:
        moment: a stored time.
        seconds: how many; negative for an earlier time.

    Raises:
        ValueError: that is out of the calendar's range.
    """
    try:
        return as_stored(instant(moment) + timedelta(seconds=seconds))
    except OverflowError as exc:
        raise ValueError(f"{seconds!r} seconds after {moment} is out of the calendar's range") from exc


def elapsed(start: datetime, end: datetime | None = None) -> timedelta:
    """Give the time between two points in time.

    Args:
        start: a stored time.
        end: a stored time; by default now.
    """
    return (instant_now() if end is None else instant(end)) - instant(start)


def as_given(moment: datetime) -> datetime:
    """Give a time that a user gave the form that Django's form fields would give it: aware if ``USE_TZ`` is on."""
    if settings.USE_TZ:
        return moment if django_timezone.is_aware(moment) else django_timezone.make_aware(moment)
    return as_stored(moment) if django_timezone.is_aware(moment) else moment


def for_json(moment: datetime | None) -> datetime | None:
    """Give a stored time, if there is one, the form in which JSON shows its time zone."""
    return None if moment is None else instant(moment)


def local(moment: datetime) -> datetime:
    """Give a stored time as people read it: aware, in the current time zone, or ``TIME_ZONE`` without ``USE_TZ``."""
    return instant(moment).astimezone(_zone_of_naive_times())


def text(moment: datetime) -> str:
    """Show a stored time in logs and messages, to the second and with its time zone."""
    return f"{instant(moment).astimezone(django_timezone.get_default_timezone()):%Y-%m-%d %H:%M:%S %Z}"


def for_database(moment: datetime, connection: Any) -> Any:
    """Adapt a stored time, or an instant, to a database.

    Where ``USE_TZ`` is off, a database without a type for aware times holds UTC: a local time would stand for two
    points in time in the hour that is repeated when daylight saving time ends.

    Args:
        moment: the time.
        connection: the database's.

    Returns:
        What its driver takes.
    """
    at = instant(moment)
    if holds_plain_utc(connection):
        at = at.replace(tzinfo=None)
    return connection.ops.adapt_datetimefield_value(at)


def from_database(value: datetime, connection: Any) -> datetime:
    """Make a stored time of what Django read from a database; see :func:`for_database`."""
    return as_stored(value.replace(tzinfo=UTC)) if holds_plain_utc(connection) else value


def holds_plain_utc(connection: Any) -> bool:
    """Tell whether a database holds times in UTC without knowing it; see :func:`for_database`."""
    return not settings.USE_TZ and not connection.features.supports_timezones


def zone_name() -> str:
    """Name the time zone in which people read times."""
    zone = _zone_of_naive_times()
    return zone.tzname(None) or str(zone)


def _zone_of_naive_times() -> tzinfo:
    return django_timezone.get_current_timezone() if settings.USE_TZ else django_timezone.get_default_timezone()
