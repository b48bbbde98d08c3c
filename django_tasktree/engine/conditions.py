"""Conditions on a row and its relations; each is defined once and has three forms: Python, Django's Q and SQL.

There is no negation, because in SQL the negation of a comparison with NULL is NULL. Conditions list all values that
fit instead.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import BooleanField, Case, Q, TextChoices, Value, When

from django_tasktree.engine.literals import literal, literals


class Condition(ABC):
    """A condition on a row; columns have their names in Django's lookups, such as ``run__state``."""

    @abstractmethod
    def holds(self, row: Any) -> bool:
        """Return whether the condition is true for a row.

        Args:
            row: an object, or a mapping from the names of columns to values.
        """

    @abstractmethod
    def q(self, of: str = "") -> Q:
        """Return the condition as a filter for a queryset.

        Args:
            of: the relation whose model is queried; by default the model of the row itself.
        """

    @abstractmethod
    def sql(self, **aliases: str) -> str:
        """Return the condition as SQL.

        Args:
            **aliases: relation -> alias of its table, or an empty string for no alias; ``node`` is the row itself.
        """

    @abstractmethod
    def given(self, **values: Any) -> "Condition":
        """Return the condition that remains when the values of some columns are known."""

    def value(self) -> Case:
        """Return the condition as an expression that can be assigned to a column."""
        return Case(When(self.q(), then=Value(True)), default=Value(False), output_field=BooleanField())

    def __and__(self, other: "Condition") -> "Condition":
        return _joined(All, (self, other))

    def __or__(self, other: "Condition") -> "Condition":
        return _joined(Any_, (self, other))


@dataclass(frozen=True, slots=True, init=False)
class Is(Condition):
    """The condition that a column has one of some values.

    Args:
        name: the column.
        *values: at least one value: members of an enumeration, a boolean, or None for NULL.
    """

    name: str
    values: tuple[TextChoices | bool | None, ...]

    def __init__(self, name: str, *values: TextChoices | bool | None) -> None:
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "values", values)

    def holds(self, row: Any) -> bool:
        """See :meth:`Condition.holds`."""
        return (row[self.name] if isinstance(row, Mapping) else _read(row, self.name)) in self.values

    def q(self, of: str = "") -> Q:
        """See :meth:`Condition.q`."""
        name = self.name.removeprefix(f"{of}__")
        if self.values == (None,):
            return Q(**{f"{name}__isnull": True})
        if len(self.values) == 1:
            return Q(**{name: self.values[0]})
        return Q(**{f"{name}__in": self.values})

    def sql(self, **aliases: str) -> str:
        """See :meth:`Condition.sql`."""
        relation, _, column = self.name.rpartition("__")
        alias = aliases[relation or "node"]
        named = f"{alias}.{column}" if alias else column
        match self.values:
            case (None,):
                return f"{named} IS NULL"
            case (bool() as wanted,):
                return named if wanted else f"NOT {named}"
            case (TextChoices() as wanted,):
                return f"{named} = {literal(wanted)}"
        return f"{named} IN ({literals(value for value in self.values if isinstance(value, TextChoices))})"

    def given(self, **values: Any) -> Condition:
        """See :meth:`Condition.given`."""
        if self.name not in values:
            return self
        return ALWAYS if values[self.name] in self.values else NEVER


@dataclass(frozen=True, slots=True)
class All(Condition):
    """The condition that all of some conditions are true."""

    parts: tuple[Condition, ...]

    def holds(self, row: Any) -> bool:
        """See :meth:`Condition.holds`."""
        return all(part.holds(row) for part in self.parts)

    def q(self, of: str = "") -> Q:
        """See :meth:`Condition.q`."""
        return Q(*(part.q(of) for part in self.parts))

    def sql(self, **aliases: str) -> str:
        """See :meth:`Condition.sql`."""
        return f"({' AND '.join(part.sql(**aliases) for part in self.parts)})" if self.parts else "TRUE"

    def given(self, **values: Any) -> Condition:
        """See :meth:`Condition.given`."""
        return _joined(All, tuple(part.given(**values) for part in self.parts))


@dataclass(frozen=True, slots=True)
class Any_(Condition):  # noqa: N801  the name without the underscore is Python's own
    """The condition that at least one of some conditions is true."""

    parts: tuple[Condition, ...]

    def holds(self, row: Any) -> bool:
        """See :meth:`Condition.holds`."""
        return any(part.holds(row) for part in self.parts)

    def q(self, of: str = "") -> Q:
        """See :meth:`Condition.q`."""
        if not self.parts:
            return Q(pk__in=[])
        return Q(*(part.q(of) for part in self.parts), _connector=Q.OR)

    def sql(self, **aliases: str) -> str:
        """See :meth:`Condition.sql`."""
        return f"({' OR '.join(part.sql(**aliases) for part in self.parts)})" if self.parts else "FALSE"

    def given(self, **values: Any) -> Condition:
        """See :meth:`Condition.given`."""
        return _joined(Any_, tuple(part.given(**values) for part in self.parts))


ALWAYS = All(())
NEVER = Any_(())


def _joined(kind: type[All] | type[Any_], parts: tuple[Condition, ...]) -> Condition:
    """Combine conditions and simplify the result: drop neutral parts, and flatten nested parts of the same kind."""
    neutral, deciding = (ALWAYS, NEVER) if kind is All else (NEVER, ALWAYS)
    if deciding in parts:
        return deciding
    left: list[Condition] = []
    for part in parts:
        left += part.parts if isinstance(part, kind) else (part,)
    if not left:
        return neutral
    return left[0] if len(left) == 1 else kind(tuple(left))


def _read(row: Any, name: str) -> Any:
    for part in name.split("__"):
        row = None if row is None else getattr(row, part)
    return row
