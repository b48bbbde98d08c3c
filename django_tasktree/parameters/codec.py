"""What the codec of a parameter's type is."""

from typing import Any, Literal, Protocol

Kind = Literal[
    "text", "int", "float", "bool", "decimal", "date", "datetime", "uuid", "enum", "literal", "path", "list", "model"
]


class UnfitError(ValueError):
    """A value does not fit; the message is the reason, without the names of the parameter and the tree."""


class Codec(Protocol):
    """How the values of one type are read from text, read from JSON, and written as JSON."""

    @property
    def label(self) -> str:
        """Name the type for people."""

    def read(self, text: str) -> Any:
        """Read a value from text."""

    def clean(self, value: Any) -> Any:
        """Read a value from what JSON can hold."""

    def to_json(self, value: Any) -> Any:
        """Write a value as JSON."""
