"""Attributes whose containers are made when they are first read."""

from collections.abc import Callable
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class MadeOnDemand(Generic[T]):
    """An attribute whose empty container is made when it is first read: most nodes of a large tree never need theirs.

    The container is in the slot of the same name with an underscore, which is None until then.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make

    def __set_name__(self, _owner: type, name: str) -> None:
        self._slot = f"_{name}"

    def __get__(self, owner: Any, _type: type | None = None) -> T:
        value: Any = self if owner is None else getattr(owner, self._slot)
        if value is None:
            self.__set__(owner, value := self._make())
        return value  # type: ignore[no-any-return]

    def __set__(self, owner: Any, value: T) -> None:
        setattr(owner, self._slot, value)
