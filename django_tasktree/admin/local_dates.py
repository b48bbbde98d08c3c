"""Whether a database can say to which date, in the reader's time zone, a point in time belongs."""

from django.db.backends.base.base import BaseDatabaseWrapper

from django_tasktree import times


def knows_local_dates(connection: BaseDatabaseWrapper) -> bool:
    """Tell whether date lookups such as ``created_at__day`` count dates in the current time zone.

    They fail on MySQL and MariaDB where the tables of time zones are empty, as they are by default.
    """
    if times.holds_plain_utc(connection):
        return times.zone_name() == "UTC"
    if connection.vendor != "mysql" or times.zone_name() == connection.timezone_name:
        return True
    with connection.cursor() as cursor:
        cursor.execute("SELECT CONVERT_TZ('2000-01-01', %s, %s)", [connection.timezone_name, times.zone_name()])
        return cursor.fetchone()[0] is not None
