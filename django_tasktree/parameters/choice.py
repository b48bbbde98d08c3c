"""One of several values: an Enum, a Literal."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from django_tasktree.parameters.codec import UnfitError
from django_tasktree.parameters.showing import quoted, shown


def _same(one: Any, other: Any) -> bool:
    """Compare as JSON does, where ``true`` is not 1."""
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


@dataclass(frozen=True)
class Choice:
    """A member of an Enum or a value of a Literal: by value or by name; where these contradict each other, by value."""

    choices: tuple[Any, ...]

    @property
    def label(self) -> str:
        """Name the type for people."""
        return "|".join(map(shown, self.choices))

    def read(self, text: str) -> Any:
        """Read a value from text."""
        return self._one(text, lambda choice: str(_value(choice)) == text)

    def clean(self, value: Any) -> Any:
        """Read a value from what JSON can hold."""
        return self._one(value, lambda choice: choice is value or _same(_value(choice), value))

    def to_json(self, value: Any) -> Any:
        """Write the value where JSON has it, the name elsewhere."""
        return _value(value) if isinstance(_value(value), (str, int)) else value.name

    def has(self, text: str) -> bool:
        """Whether a text names one of the choices."""
        return any(text == str(_value(choice)) or text in _names(choice) for choice in self.choices)

    def _one(self, value: Any, fits: Callable[[Any], bool]) -> Any:
        found = [choice for choice in self.choices if fits(choice)]
        if not found and isinstance(value, str):
            found = [choice for choice in self.choices if value in _names(choice)]
        if not found:
            raise UnfitError(f"{quoted(value)} is not one of {', '.join(map(shown, self.choices))}")
        return found[0]


def _value(choice: Any) -> Any:
    return choice.value if isinstance(choice, Enum) else choice


def _names(choice: Any) -> list[str]:
    """List the names of an Enum's member, aliases included; the others have none."""
    members = type(choice).__members__ if isinstance(choice, Enum) else {}
    return [name for name, member in members.items() if member is choice]
