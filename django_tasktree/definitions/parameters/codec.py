"""The interface of a codec, which converts the values of one type of parameter."""

from typing import Any, Literal, Protocol

Kind = Literal[
    "text", "int", "float", "bool", "decimal", "date", "datetime", "uuid", "enum", "literal", "path", "list", "model"
]


class UnfitError(ValueError):
    """A value does not fit its type. The message is the reason, without the names of parameter and definition."""


class Codec(Protocol):
    """Converts the values of one type from text, from JSON and to JSON."""

    @property
    def label(self) -> str:
        """The name of the type, for messages and help."""

    def read(self, text: str) -> Any:
        """Return the value for a text; UnfitError if it does not fit."""

    def clean(self, value: Any) -> Any:
        """Return the value for a JSON value; UnfitError if it does not fit."""

    def to_json(self, value: Any) -> Any:
        """Return a value as JSON."""
