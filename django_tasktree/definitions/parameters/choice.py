"""Parameters with a fixed set of values: an Enum or a Literal."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from django_tasktree.definitions.parameters.codec import UnfitError
from django_tasktree.definitions.parameters.showing import quoted, shown


def _same(one: Any, other: Any) -> bool:
    """Return whether two values are equal as JSON values, where ``true`` is not 1."""
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


@dataclass(frozen=True)
class Choice:
    """A member of an Enum, by value or by name, or a value of a Literal; if both match, the value takes precedence."""

    choices: tuple[Any, ...]

    @property
    def label(self) -> str:
        """The name of the type, for messages and help."""
        return "|".join(map(shown, self.choices))

    def read(self, text: str) -> Any:
        """Return the value for a text; UnfitError if it does not fit."""
        return self._one(text, lambda choice: str(_value(choice)) == text)

    def clean(self, value: Any) -> Any:
        """Return the value for a JSON value; UnfitError if it does not fit."""
        return self._one(value, lambda choice: choice is value or _same(_value(choice), value))

    def to_json(self, value: Any) -> Any:
        """Return the value if it is a text or a whole number, and else the name of the Enum's member."""
        return _value(value) if isinstance(_value(value), (str, int)) else value.name

    def has(self, text: str) -> bool:
        """Return whether a text is the value or name of a choice."""
        return any(text == str(_value(choice)) or text in _names(choice) for choice in self.choices)

    def _one(self, value: Any, fits: Callable[[Any], bool]) -> Any:
        matches = [choice for choice in self.choices if fits(choice)]
        if not matches and isinstance(value, str):
            matches = [choice for choice in self.choices if value in _names(choice)]
        if not matches:
            raise UnfitError(f"{quoted(value)} is not one of {', '.join(map(shown, self.choices))}")
        return matches[0]


def _value(choice: Any) -> Any:
    return choice.value if isinstance(choice, Enum) else choice


def _names(choice: Any) -> list[str]:
    """Return the names of an Enum's member, aliases included; an empty list for a value of a Literal."""
    members = type(choice).__members__ if isinstance(choice, Enum) else {}
    return [name for name, member in members.items() if member is choice]
