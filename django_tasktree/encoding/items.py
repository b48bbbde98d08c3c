"""The placeholder for an item of a map in the arguments of its tasks: ``ITEM``, or a part of it, ``ITEM["url"]``."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from kombu.utils import json

from django_tasktree.encoding.references import Step, pick
from django_tasktree.exceptions import BrokenReference, InvalidOption


@dataclass(frozen=True)
class Item:
    """The placeholder for an item, or for the part of it to which the path leads."""

    # Private, since a part of an item may have any name: ``ITEM.path`` has to be refused.
    _path: tuple[Step, ...] = ()

    def __getitem__(self, step: Step) -> "Item":
        """Return the placeholder for a part of the item.

        Args:
            step: a key of a dict, or a position in a list.

        Raises:
            TypeError: if it is neither a text nor a whole number.
        """
        if not isinstance(step, (str, int)):
            raise TypeError(f"a part of an item is named by a key or a position, not by {step!r}")
        return Item((*self._path, step))

    if TYPE_CHECKING:
        # With __getitem__ it would be iterable.
        __iter__: ClassVar[None]
    else:

        def __iter__(self) -> Any:
            """Raise TypeError: the item is not known yet.

            Raises:
                TypeError: always.
            """
            raise TypeError(f"{self} has no value before the map runs: to unpack items, pass args=ITEM or kwargs=ITEM")

    def __str__(self) -> str:
        """Return the placeholder as it is written: ``ITEM['url']``."""
        return f"ITEM{''.join(f'[{step!r}]' for step in self._path)}"

    __repr__ = __str__

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
            kind = type(item).__name__
            raise BrokenReference(f"{self} does not exist: item {number:,} of the map is of type {kind}") from exc


#: The item of the innermost map, in the arguments of its tasks.
ITEM = Item()

json.register_type(Item, "tasktree-item", lambda item: list(item._path), lambda path: Item(tuple(path)))


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
