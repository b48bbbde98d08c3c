"""The field types of this app's tables: short texts that are compared exactly, and points in time."""

from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.db import models
from django.db.models.lookups import IContains

from django_tasktree.encoding import times
from django_tasktree.encoding.text import UNSTORABLE, check_storable

if TYPE_CHECKING:
    # Django's stubs only know the types of the attribute, ``str`` or ``str | None``, for Django's own class.
    ExactCharField = models.CharField
else:

    class ExactCharField(models.CharField):
        """A ``CharField`` whose values the database compares character by character.

        The default collations of MariaDB and MySQL ignore case, accents and trailing blanks, so that two different keys
        could be equal. PostgreSQL and SQLite compare exactly.
        """

        def db_parameters(self, connection: Any) -> dict[str, Any]:
            """Return the parameters of the column, with a collation that compares exactly."""
            return super().db_parameters(connection) | {"collation": exact_collation(connection)}

        def get_prep_value(self, value: Any) -> Any:
            """Return the value for a row or a query.

            Raises:
                InvalidText: if no row can hold the text. Without this check, each database would react differently.
            """
            text = super().get_prep_value(value)
            if isinstance(text, str) and UNSTORABLE.search(text):
                check_storable(f"the value of {self.name}", text)
            return text


def exact_collation(connection: Any) -> str | None:
    """Return the name of a collation that compares exactly; None if the database's default collation does.

    Args:
        connection: the connection to the database.
    """
    if connection.vendor != "mysql":
        return None
    return "utf8mb4_nopad_bin" if connection.mysql_is_mariadb else "utf8mb4_0900_bin"


@ExactCharField.register_lookup
class Search(IContains):
    """The lookup ``icontains``, which ignores case on MariaDB and MySQL too."""

    def process_lhs(self, compiler: Any, connection: Any, lhs: Any = None) -> tuple[str, Any]:
        """Return the SQL of the column, on MySQL and MariaDB with a collation that ignores case."""
        sql, params = super().process_lhs(compiler, connection, lhs)
        return (f"{sql} COLLATE utf8mb4_unicode_ci" if connection.vendor == "mysql" else sql), params


class InstantField(models.DateTimeField):  # type: ignore[type-arg]
    """A ``DateTimeField`` that stores unambiguous points in time, whatever ``USE_TZ`` and ``TIME_ZONE`` are.

    Its Python values are those of Django's field; it also accepts aware times if ``USE_TZ`` is off.
    """

    def get_db_prep_value(self, value: Any, connection: Any, prepared: bool = False) -> Any:
        """Return a time in the form that the database's driver accepts."""
        if not prepared:
            value = self.get_prep_value(value)
        return None if value is None else times.for_database(value, connection)

    def from_db_value(self, value: datetime | None, _expression: Any, connection: Any) -> datetime | None:
        """Return the stored time for a value that the database returned."""
        return None if value is None else times.from_database(value, connection)
