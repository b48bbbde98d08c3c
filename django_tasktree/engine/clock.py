"""The database's clock: the one that all workers and sweepers share, however far their own have drifted apart."""

from datetime import datetime

from django_tasktree import times
from django_tasktree.engine import sql

# In UTC: by themselves both databases tell the time in the zone of the session.
_NOW = {"postgresql": "SELECT statement_timestamp() AT TIME ZONE 'UTC'", "mysql": "SELECT UTC_TIMESTAMP(6)"}


def database_now() -> datetime:
    """Ask the database for the time, in one query; SQLite's is this machine's own.

    Returns:
        The time as the models store it. Reckon with it by :mod:`django_tasktree.times`.
    """
    query = _NOW.get(sql.connection().vendor)
    if query is None:
        return times.now()
    now: datetime = sql.rows(query)[0][0]
    return times.as_stored(now.replace(tzinfo=times.UTC))
