"""Values of this package's enumerations as SQL, so that no statement spells out a state."""

from collections.abc import Iterable

from django.db.models import TextChoices


def literal(value: TextChoices) -> str:
    """Return a value as an SQL string literal."""
    return f"'{value.value}'"


def literals(values: Iterable[TextChoices]) -> str:
    """Return the values as a list for ``IN``, in a fixed order.

    Without values, the list contains only the empty string: not all databases accept ``IN ()``, and ``IN (NULL)`` is
    NULL even if it is negated.
    """
    return ", ".join(sorted(map(literal, values))) or "''"
