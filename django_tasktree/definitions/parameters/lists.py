"""Parameters that are lists of the other types."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from django_tasktree.definitions.parameters.codec import UnfitError
from django_tasktree.definitions.parameters.showing import quoted
from django_tasktree.encoding.strict_json import read_json


class ItemReader(Protocol):
    """The part of :class:`.Parameter` that a list uses for its items."""

    @property
    def label(self) -> str:
        """The name of the type, for messages and help."""

    def read_unnamed(self, text: str) -> Any:
        """Return the value for a text; UnfitError if it does not fit."""

    def clean_unnamed(self, value: Any) -> Any:
        """Return the value for a JSON value; UnfitError if it does not fit."""

    def to_json(self, value: Any) -> Any:
        """Return a value as JSON."""


@dataclass(frozen=True)
class List:
    """A list; its items are converted one by one."""

    item: ItemReader

    @property
    def label(self) -> str:
        """The name of the type, for messages and help."""
        return f"list[{self.item.label}]"

    def read(self, text: str) -> Any:
        """Return the list for a text: values separated by commas, or a JSON array, whose values may contain commas."""
        if text.lstrip().startswith("["):
            return self.clean(_array(text))
        texts = [part.strip() for part in text.split(",")] if text.strip() else []
        return self._each(self.item.read_unnamed, texts)

    def clean(self, value: Any) -> Any:
        """Return the value for a JSON value; UnfitError if it does not fit."""
        if not isinstance(value, (list, tuple)):
            raise UnfitError(f"{quoted(value)} is not a list")
        return self._each(self.item.clean_unnamed, value)

    def to_json(self, value: Any) -> Any:
        """Return a value as JSON."""
        return [self.item.to_json(item) for item in value]

    def _each(self, read: Callable[[Any], Any], values: Sequence[Any]) -> list[Any]:
        return [_item(read, position, value) for position, value in enumerate(values, start=1)]


def _array(text: str) -> Any:
    try:
        return read_json(text)
    except ValueError as error:
        raise UnfitError(f"{quoted(text)} starts with [, but is not a valid JSON array: {error}") from error


def _item(read: Callable[[Any], Any], position: int, value: Any) -> Any:
    """Return the value of one item; the error has its position, counted from 1."""
    try:
        return read(value)
    except UnfitError as unfit:
        raise UnfitError(f"item {position}: {unfit}") from unfit
