"""The database's clock: the one that all workers and sweepers share, however far their own have drifted apart."""

from datetime import datetime, timezone

from django.conf import settings
from django.utils import timezone as django_timezone

from django_tasktree.engine import sql

# MySQL and MariaDB tell the time in the zone of the session otherwise.
_NOW = {"postgresql": "SELECT statement_timestamp()", "mysql": "SELECT UTC_TIMESTAMP(6)"}


def database_now() -> datetime:
    """Ask the database for the time, in one query; SQLite's is this machine's own."""
    query = _NOW.get(sql.connection().vendor)
    if query is None:
        return django_timezone.now()
    now: datetime = sql.rows(query)[0][0]
    if now.tzinfo is None:
        now = now.replace(tzinfo=timezone.utc)
    return now if settings.USE_TZ else django_timezone.make_naive(now)
