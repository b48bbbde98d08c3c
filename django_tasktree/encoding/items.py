"""The placeholder for an item of a map in the arguments of its tasks: ``ITEM``, or a part of it, ``ITEM["url"]``."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from kombu.utils import json

from django_tasktree.encoding.placeholders import ITEM_TYPE, Placeholder, Step, further, missing_part, pick, written
from django_tasktree.exceptions import BrokenReference, InvalidOption


@dataclass(frozen=True, repr=False)
class Item(Placeholder):
    """The placeholder for an item, or for the part of it to which the path leads."""

    _path: tuple[Step, ...] = ()

    def __getitem__(self, step: Step) -> "Item":
        """Return the placeholder for a part of the item.

        Args:
            step: a key of a dict, or a position in a list.

        Raises:
            TypeError: if it is neither a text nor a whole number.
        """
        return Item(further(self._path, step))

    def __repr__(self) -> str:
        """Return the placeholder as it is written: ``ITEM['url']``."""
        return written(self._name(), self._path)

    def __bool__(self) -> bool:
        """Return True: with ``kwargs=ITEM`` it takes the place of a dict that is not empty."""
        return True

    def _name(self) -> str:
        return "ITEM"

    def _unknown(self) -> str:
        return "before the map runs (args=ITEM and kwargs=ITEM unpack it)"

    def pick(self, item: Any, number: int) -> Any:
        """Return the part of an item that the path leads to.

        Args:
            item: the item.
            number: its number, from 0, for messages.

        Raises:
            BrokenReference: if the item has no such part.
        """
        try:
            return pick(item, self._path)
        except (KeyError, IndexError, TypeError) as exc:
            reason = missing_part(f"item {number:,} of the map", self._path, item)
            raise BrokenReference(f"{self!r} does not exist: {reason}") from exc


#: The item of the innermost map, in the arguments of its tasks.
ITEM = Item()

json.register_type(Item, ITEM_TYPE, lambda item: list(item._path), lambda path: Item(tuple(path)))


def items_of(value: Any) -> Collection[Any]:
    """Return the items of a map.

    Args:
        value: a list, tuple, range or set; of a dict, the items are pairs of a key and a value.

    Raises:
        InvalidOption: it is something else; the message names the type.
    """
    if isinstance(value, Mapping):
        return [list(pair) for pair in value.items()]
    if isinstance(value, (str, bytes)) or not isinstance(value, Collection):
        raise InvalidOption(
            f"over= of a map must be a list, tuple, set, range, dict or QuerySet, not of type {type(value).__name__}: "
            "put other iterables into a list"
        )
    return value
