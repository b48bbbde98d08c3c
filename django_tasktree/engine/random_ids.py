"""Random IDs that the database generates, so that rows get new IDs without being read."""

from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Expression, UUIDField

from django_tasktree.engine.backends import backend


class RandomId(Expression):
    """A random UUID for each row of an UPDATE of a table whose primary key is ``id``."""

    output_field = UUIDField()

    def as_sql(self, compiler: Any, connection: BaseDatabaseWrapper) -> tuple[str, tuple[()]]:  # noqa: ARG002
        """Return the expression of the database."""
        return backend(connection).random_id, ()
