"""The IDs of the nodes of a tree, in as little memory as possible: a tree may have a million nodes."""

from collections.abc import Hashable, Iterator, Mapping
from uuid import UUID


class NodeKeys(Mapping[Hashable, UUID]):
    """Node of a tree -> primary key of its row, in the order in which they were added, the root of the tree first.

    The keys are stored as integers: a UUID object would need twice the memory.
    """

    def __init__(self, root: Hashable, key: UUID) -> None:
        self._numbers: dict[Hashable, int] = {root: key.int}

    def add(self, node: Hashable, key: UUID) -> None:
        """Add a node, or replace its key."""
        self._numbers[node] = key.int

    def __getitem__(self, node: Hashable) -> UUID:
        return UUID(int=self._numbers[node])

    def __contains__(self, node: object) -> bool:
        return node in self._numbers

    def __iter__(self) -> Iterator[Hashable]:
        return iter(self._numbers)

    def __len__(self) -> int:
        return len(self._numbers)
