"""The type of all times in this app's tables."""

from datetime import datetime
from typing import Any

from django.db import models

from django_tasktree import times


class InstantField(models.DateTimeField):  # type: ignore[type-arg]
    """A ``DateTimeField`` that holds exact points in time whatever the settings ``USE_TZ`` and ``TIME_ZONE`` are.

    In Python it is Django's own field, but also takes aware times where ``USE_TZ`` is off.
    """

    def get_db_prep_value(self, value: Any, connection: Any, prepared: bool = False) -> Any:
        """Adapt a time to the database."""
        if not prepared:
            value = self.get_prep_value(value)
        return None if value is None else times.for_database(value, connection)

    def from_db_value(self, value: datetime | None, _expression: Any, connection: Any) -> datetime | None:
        """Read a time."""
        return None if value is None else times.from_database(value, connection)
