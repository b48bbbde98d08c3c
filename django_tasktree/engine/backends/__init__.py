"""Differences between the databases, and the statements that run for every node: one class for each kind of server.

These statements are hand-written SQL, because the ORM takes several times as long to build one as a database to run it.
"""

from collections.abc import Mapping
from datetime import datetime

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from django_tasktree.engine.backends.base import Backend
from django_tasktree.engine.backends.mysql import MySQL
from django_tasktree.engine.backends.postgresql import PostgreSQL
from django_tasktree.engine.backends.sqlite import SQLite
from django_tasktree.engine.transitions import write_alias

_BACKENDS: Mapping[str, type[Backend]] = {"postgresql": PostgreSQL, "mysql": MySQL, "sqlite": SQLite}


def backend(connection: BaseDatabaseWrapper | None = None) -> Backend:
    """Return the backend of a connection; by default of the connection on which the engine writes."""
    connection = connection or connections[write_alias()]
    return _BACKENDS[connection.vendor](connection)


def database_now() -> datetime:
    """Query the time of the database, which all workers share even if the clocks of their machines differ.

    Returns:
        The time as the models store it; with SQLite, the time of this machine. Use
        :mod:`django_tasktree.encoding.times` to calculate with it.
    """
    return backend().now()
