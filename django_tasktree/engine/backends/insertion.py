"""Rows to insert, with the values that Django's ORM would send to the database, in a fraction of its time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Field, Model


@dataclass(frozen=True)
class Insertion:
    """Rows to insert into a table.

    Attributes:
        table: the quoted name of the table.
        columns: the quoted names of the columns, separated by commas. Columns that are NULL in all rows are left out.
        rows: the values of these columns in each row, of types that the database driver accepts.
    """

    table: str
    columns: str
    rows: list[tuple[Any, ...]]

    @staticmethod
    def of(model: type[Model], values: Mapping[str, Sequence[Any]], connection: BaseDatabaseWrapper) -> "Insertion":
        """Return the insertion of rows of a model.

        Args:
            model: the model.
            values: the value of each row by the attribute name of a field, as an instance of the model would have them.
                They must be hashable.
            connection: the connection to the database.
        """
        quote = connection.ops.quote_name
        prepared = {}
        for field in model._meta.concrete_fields:
            column = _prepared(field, values[field.attname], connection)
            if column.count(None) < len(column):
                prepared[quote(str(field.column))] = column
        rows = list(zip(*prepared.values(), strict=True))
        return Insertion(quote(model._meta.db_table), ", ".join(prepared), rows)

    @property
    def insert(self) -> str:
        """The beginning of an INSERT, up to the values."""
        return f"INSERT INTO {self.table} ({self.columns}) VALUES"

    @property
    def placeholders(self) -> str:
        """The placeholders for the values of one row."""
        return f"({', '.join(['%s'] * len(self.rows[0]))})"


def _prepared(field: "Field[Any, Any]", values: Sequence[Any], connection: BaseDatabaseWrapper) -> list[Any]:
    """Return the values of a column as the database driver accepts them; equal values are converted once."""
    if values.count(values[0]) == len(values):
        return [field.get_db_prep_save(values[0], connection)] * len(values)
    converted = {value: field.get_db_prep_save(value, connection) for value in set(values)}
    return [converted[value] for value in values]
