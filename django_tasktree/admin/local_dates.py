"""Check whether a database can convert a point in time to a date in the current time zone."""

from django.db.backends.base.base import BaseDatabaseWrapper

from django_tasktree.encoding import times


def knows_local_dates(connection: BaseDatabaseWrapper) -> bool:
    """Return whether date lookups such as ``created_at__day`` work, with dates in the current time zone.

    They fail on MySQL and MariaDB if the time zone tables are empty, which is the default.
    """
    if times.holds_plain_utc(connection):
        return times.zone_name() == "UTC"
    if connection.vendor != "mysql" or times.zone_name() == connection.timezone_name:
        return True
    with connection.cursor() as cursor:
        cursor.execute("SELECT CONVERT_TZ('2000-01-01', %s, %s)", [connection.timezone_name, times.zone_name()])
        return cursor.fetchone()[0] is not None
