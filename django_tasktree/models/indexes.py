"""Indexes of some of a table's rows."""

from collections.abc import Sequence
from typing import Any

from django.db import models
from django.db.models import Q


class PartialIndex(models.Index):
    """An index that contains only the rows which fulfil a condition: an UPDATE of any other row does not write to it.

    MySQL and MariaDB have no such indexes. There it is an index of all rows, of other columns.

    Args:
        only: the condition.
        fields: the columns.
        otherwise: the columns if the database has no partial indexes; if there are none, it gets no index.
        name: the name of the index.
    """

    def __init__(self, *, only: Q, fields: Sequence[str], otherwise: Sequence[str], name: str) -> None:
        super().__init__(fields=list(fields), name=name)
        # It is not Django's attribute ``condition``, because of which Django would warn of databases that ignore it.
        self.only = only
        self.otherwise = list(otherwise)

    def deconstruct(self) -> tuple[str, Sequence[Any], dict[str, Any]]:
        """Return the path of the class and the arguments, for migrations."""
        path, args, kwargs = super().deconstruct()
        return path, args, {**kwargs, "only": self.only, "otherwise": self.otherwise}

    def create_sql(self, model: Any, schema_editor: Any, using: str = "", **kwargs: Any) -> Any:
        """Return the statement that creates the index."""
        index = self._on(schema_editor.connection)
        return _NOTHING if index is None else index.create_sql(model, schema_editor, using, **kwargs)

    def remove_sql(self, model: Any, schema_editor: Any, **kwargs: Any) -> Any:
        """Return the statement that deletes the index."""
        index = self._on(schema_editor.connection)
        return _NOTHING if index is None else index.remove_sql(model, schema_editor, **kwargs)

    def _on(self, connection: Any) -> models.Index | None:
        if connection.features.supports_partial_indexes:
            return models.Index(fields=self.fields, name=self.name, condition=self.only)
        return models.Index(fields=self.otherwise, name=self.name) if self.otherwise else None


#: Django executes a statement in any case.
_NOTHING = "SELECT 1"
