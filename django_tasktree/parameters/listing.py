"""Lists of the other types."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from django_tasktree.parameters.codec import UnfitError
from django_tasktree.parameters.showing import quoted


class ItemReader(Protocol):
    """What a list needs of the parameter that its items are read by."""

    @property
    def label(self) -> str:
        """Name the type for people."""

    def read_unnamed(self, text: str) -> Any:
        """Read from text; the error names neither parameter nor tree."""

    def clean_unnamed(self, value: Any) -> Any:
        """Read from JSON; the error names neither parameter nor tree."""

    def to_json(self, value: Any) -> Any:
        """Write a value as JSON."""


@dataclass(frozen=True)
class List:
    """A list, whose items are read one by one."""

    item: ItemReader

    @property
    def label(self) -> str:
        """Name the type for people."""
        return f"list[{self.item.label}]"

    def read(self, text: str) -> Any:
        """Read values that commas separate, or a JSON array, which can hold commas in its values."""
        if text.lstrip().startswith("["):
            return self.clean(_array(text))
        texts = [part.strip() for part in text.split(",")] if text.strip() else []
        return self._each(self.item.read_unnamed, texts)

    def clean(self, value: Any) -> Any:
        """Read a value from what JSON can hold."""
        if not isinstance(value, (list, tuple)):
            raise UnfitError(f"{quoted(value)} is not a list")
        return self._each(self.item.clean_unnamed, value)

    def to_json(self, value: Any) -> Any:
        """Write a value as JSON."""
        return [self.item.to_json(item) for item in value]

    def _each(self, read: Callable[[Any], Any], values: Sequence[Any]) -> list[Any]:
        return [_item(read, position, value) for position, value in enumerate(values, start=1)]


def _array(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise UnfitError(f"{text!r} starts like a JSON array, but is none ({error})") from error


def _item(read: Callable[[Any], Any], position: int, value: Any) -> Any:
    """Read one item; where it does not fit, say which one it is."""
    try:
        return read(value)
    except UnfitError as unfit:
        raise UnfitError(f"item {position}: {unfit}") from unfit
