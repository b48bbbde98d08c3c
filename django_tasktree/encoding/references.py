"""References to other nodes' results inside a node's arguments.

Rows and messages contain a reference as a small JSON object. The worker that claims the node replaces it with the
result (``django_tasktree.worker.arguments``).
"""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any, Generic
from uuid import UUID

from kombu.utils import json

from django_tasktree.encoding.placeholders import OUTPUT_TYPE, Placeholder, Step, further, pick, written
from django_tasktree.types import R_co


@dataclass(frozen=True)
class Reference:
    """A reference to the result of a stored node, or to the results of its children.

    Attributes:
        node: the ID of the node, or of the run, whose children are the root nodes.
        kind: ``output`` (the node's result), ``outputs`` (its children's results, in order), ``outcomes`` (their
            states, results and errors) or ``subtree_outputs`` (for each child the results of its gather nodes, or its
            own result if it has none).
        path: the keys and positions of the path to a part of the result.
    """

    node: UUID
    kind: str
    path: tuple[Step, ...] = ()

    def __str__(self) -> str:
        """Return the kind and the path, without the ID of the node: ``output['total']``."""
        return written(self.kind, self.path)

    def pick(self, value: Any) -> Any:
        """Return the part of a result that the path leads to.

        Raises:
            KeyError, IndexError, TypeError: if the result has no such part.
        """
        return pick(value, self.path)


@dataclass(frozen=True)
class Output(Placeholder, Generic[R_co]):
    """A reference to a node that is still being built: ``node.output``, ``node.output["key"]``, ``node.outputs``."""

    _node: Hashable
    _kind: str
    _path: tuple[Step, ...] = ()

    def __getitem__(self, step: Step) -> "Output[Any]":
        """Return a reference to a part of the result.

        Args:
            step: a key of a dict, or a position in a list.

        Raises:
            TypeError: if it is neither a text nor a whole number.
        """
        return Output(self._node, self._kind, further(self._path, step))

    def _name(self) -> str:
        return self._kind

    def _unknown(self) -> str:
        return "before the node has run"


def target_of(output: Output[Any]) -> tuple[Hashable, str]:
    """Return the node or tree to which an output refers, and the kind of the reference."""
    return output._node, output._kind


def moved(output: Output[Any], nodes: Mapping[Any, Hashable]) -> Output[Any]:
    """Return the same output of another node, or the output itself if its node is not a key of the mapping."""
    if output._node not in nodes:
        return output
    return Output(nodes[output._node], output._kind, output._path)


def bound(output: Output[Any], key: UUID) -> Reference:
    """Return the stored form of an output.

    Args:
        output: the output of a node that is being built.
        key: the ID of the stored node, or of the run.
    """
    return Reference(key, output._kind, output._path)


def _encode(reference: Reference) -> list[Any]:
    return [reference.node.hex, reference.kind, *reference.path]


def _decode(encoded: list[Any]) -> Reference:
    node, kind, *path = encoded
    return Reference(UUID(hex=node), kind, tuple(path))


json.register_type(Reference, OUTPUT_TYPE, _encode, _decode)
