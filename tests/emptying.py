"""Empty databases after a test that commits: Django's way empties every table of each, and makes permissions anew."""

from django.db import connections, transaction
from django.test import TransactionTestCase

#: What migrations have written, and no test changes.
_KEPT = {"django_migrations", "django_content_type", "auth_permission"}
#: From so many rows on, a new file costs less than to delete them.
_MANY = 1000


def install():
    """Let tests empty their databases in this way."""
    TransactionTestCase._fixture_teardown = _fixture_teardown


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
            # All of them: a table from which rows were deleted in this transaction can't be truncated.
            cursor.execute(f"TRUNCATE {', '.join(names)} CASCADE")
            return
        for name in names:
            cursor.execute(f"DELETE FROM {name}")


def _filled(connection, tables):
    """Find the tables that have rows, and whether there are many."""
    counts = (
        f"SELECT '{table}', COUNT(*) FROM (SELECT 1 AS a FROM {connection.ops.quote_name(table)} LIMIT {_MANY}) AS t"
        for table in tables
    )
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(counts))
        return {table: number == _MANY for table, number in cursor.fetchall() if number}
