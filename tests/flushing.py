"""Empty databases after a test that commits.

Django's flush empties every table of each database and creates all permissions again, which takes longer.
"""

from django.db import connections, transaction
from django.test import TransactionTestCase

#: Tables that migrations have filled and no test changes.
_KEPT = {"django_migrations", "django_content_type", "auth_permission"}
#: From this number of rows, truncating a table is faster than deleting the rows.
_MANY = 1000


def install():
    """Replace Django's flush after tests."""
    TransactionTestCase._fixture_teardown = _fixture_teardown  # type: ignore[attr-defined]


def _fixture_teardown(self):
    for alias in self._databases_names(include_mirrors=False):
        empty(connections[alias])


def empty(connection):
    """Delete all rows that tests have written.

    Args:
        connection: a database.
    """
    tables = sorted(set(connection.introspection.django_table_names(include_views=False)) - _KEPT)
    filled = _filled(connection, tables)
    if not filled:
        return
    names = [connection.ops.quote_name(table) for table in filled]
    one_transaction = transaction.atomic(using=connection.alias)
    with connection.constraint_checks_disabled(), one_transaction, connection.cursor() as cursor:
        if connection.vendor == "postgresql" and any(filled.values()):
            # All tables, because PostgreSQL cannot truncate a table from which this transaction has deleted rows.
            cursor.execute(f"TRUNCATE {', '.join(names)} CASCADE")
            return
        for name in names:
            cursor.execute(f"DELETE FROM {name}")


def _filled(connection, tables):
    """Return the tables with rows, and for each whether it has many."""
    counts = (
        f"SELECT '{table}', COUNT(*) FROM (SELECT 1 AS a FROM {connection.ops.quote_name(table)} LIMIT {_MANY}) AS t"
        for table in tables
    )
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(counts))
        return {table: number == _MANY for table, number in cursor.fetchall() if number}
