"""Connections to databases between nodes that share a message."""

import pytest
from celery.fixups.django import DjangoFixup
from django.db import DatabaseError, connections

from django_tasktree.worker.kept_connections import keep_connections


@pytest.fixture
def close(database, app, monkeypatch):
    """Return what Celery calls before and after each task in a worker."""
    fixup = DjangoFixup(app)
    monkeypatch.setattr(app, "_fixups", [fixup])
    worker_fixup = fixup.worker_fixup
    monkeypatch.setattr(worker_fixup, "db_reuse_max", None)
    return lambda: worker_fixup.close_database()


def run(connection, statement):
    with connection.cursor() as cursor:
        cursor.execute(statement)


def test_a_connection_stays_open_between_nodes(database, close):
    connection = connections[database]
    run(connection, "SELECT 1")
    # Some versions of Celery close connections only after CONN_MAX_AGE.
    connection.close_at = 0
    with keep_connections():
        close()
        assert connection.connection is not None
    close()
    assert connection.connection is None


def test_a_connection_that_has_failed_is_closed(database, close):
    """It may be broken: then the next task function would fail, although a new connection would work."""
    connection = connections[database]
    with keep_connections():
        with pytest.raises(DatabaseError):
            run(connection, "SELECT nonsense FROM nowhere")
        close()
        assert connection.connection is None
        run(connection, "SELECT 1")
