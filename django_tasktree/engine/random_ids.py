"""Random ids that the database makes, so that rows need not be read to be given new ones."""

from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Expression, UUIDField

_BY_VENDOR = {
    "postgresql": "gen_random_uuid()",
    "sqlite": "lower(hex(randomblob(16)))",
    # UUID() alone has the time in it, and MySQL may evaluate it once for all rows. MariaDB's type takes no UUID without
    # a version and a variant.
    "mysql": "INSERT(INSERT(MD5(CONCAT(UUID(), id)), 13, 1, '4'), 17, 1, '8')",
}


class RandomId(Expression):
    """A random UUID for each row of an UPDATE of a table whose primary key is ``id``."""

    output_field = UUIDField()

    def as_sql(self, compiler: Any, connection: BaseDatabaseWrapper) -> tuple[str, tuple[()]]:  # noqa: ARG002
        """Give the database's own expression."""
        return random_id_sql(connection), ()


def random_id_sql(connection: BaseDatabaseWrapper) -> str:
    """Give the expression for a random UUID, in a statement on a table whose primary key is ``id``."""
    return _BY_VENDOR[connection.vendor]
