"""The type of all short texts in this app's tables."""

from typing import TYPE_CHECKING, Any

from django.db import models
from django.db.models.lookups import IContains

from django_tasktree.text import check_storable

if TYPE_CHECKING:
    # The stubs of Django know what a row gives and takes for its own class: ``str``, or ``str | None``.
    ExactCharField = models.CharField
else:

    class ExactCharField(models.CharField):
        """A ``CharField`` that the database compares character by character.

        The default collations of MariaDB and MySQL ignore case, accents and blanks at the end, so that two keys could
        count as one. PostgreSQL and SQLite compare exactly.
        """

        def db_parameters(self, connection: Any) -> dict[str, Any]:
            """Add the collation of this database."""
            return super().db_parameters(connection) | {"collation": exact_collation(connection)}

        def get_prep_value(self, value: Any) -> Any:
            """Refuse what no row can hold, also in a query: databases differ in what they say to it."""
            text = super().get_prep_value(value)
            return check_storable(f"the value of {self.name}", text) if isinstance(text, str) else text


def exact_collation(connection: Any) -> str | None:
    """Return the name of a collation that compares exactly, None where the database's default does."""
    if connection.vendor != "mysql":
        return None
    return "utf8mb4_nopad_bin" if connection.mysql_is_mariadb else "utf8mb4_0900_bin"


@ExactCharField.register_lookup
class Search(IContains):
    """``icontains`` ignores case on MariaDB and MySQL too."""

    def process_lhs(self, compiler: Any, connection: Any, lhs: Any = None) -> tuple[str, Any]:
        """Compare the column by a collation that ignores case, as other columns of these databases do."""
        sql, params = super().process_lhs(compiler, connection, lhs)
        return (f"{sql} COLLATE utf8mb4_unicode_ci" if connection.vendor == "mysql" else sql), params
