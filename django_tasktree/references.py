"""References to other nodes' results inside a node's arguments.

A reference travels in rows and messages as a small JSON object; the worker that claims the node puts the results in
their places (``django_tasktree.worker.arguments``).
"""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from kombu.utils import json

#: A key of a dict or a position in a list on the way into a result.
Step = str | int


@dataclass(frozen=True)
class Reference:
    """The result of a node that was persisted, or the results of those below it.

    Attributes:
        node: the key of the node, or of the run: what is directly below it are the root nodes.
        kind: ``output`` (its result), ``outputs`` (its children's, in order), ``outcomes`` (their states, results and
            errors) or ``subtree_outputs`` (of each child the result of its gather node, or its own where it has none).
        path: keys and positions that lead into the result.
    """

    node: UUID
    kind: str
    path: tuple[Step, ...] = ()

    def __str__(self) -> str:
        """Show what is referred to, without the key of the node."""
        return f"{self.kind}{''.join(f'[{step!r}]' for step in self.path)}"

    def pick(self, value: Any) -> Any:
        """Follow the path into the result.

        Raises:
            KeyError, IndexError, TypeError: the result has no such part.
        """
        for step in self.path:
            value = value[step]
        return value


@dataclass(frozen=True)
class Output:
    """A reference to a node that is still being built: ``node.output``, ``node.output["key"]``, ``node.outputs``."""

    node: Hashable
    kind: str
    path: tuple[Step, ...] = ()

    def __getitem__(self, step: Step) -> "Output":
        """Refer to a part of the result: a key of a dict, a position in a list."""
        if not isinstance(step, (str, int)):
            raise TypeError(f"a part of an output is named by a key or a position, not by {step!r}")
        return Output(self.node, self.kind, (*self.path, step))

    def _refuse(self, *_args: Any) -> Any:
        """Refuse: the value is known only once the node has run."""
        path = "".join(f"[{step!r}]" for step in self.path)
        raise TypeError(
            f"{self.kind}{path} has no value before the node has run: pass it on as an argument, and use it in the task"
        )

    # Each of these would look at the value; without them, Python would make something up.
    __iter__ = __len__ = __contains__ = __bool__ = __str__ = __format__ = __int__ = __float__ = __index__ = _refuse


def _encode(reference: Reference) -> list[Any]:
    return [reference.node.hex, reference.kind, *reference.path]


def _decode(encoded: list[Any]) -> Reference:
    node, kind, *path = encoded
    return Reference(UUID(hex=node), kind, tuple(path))


json.register_type(Reference, "tasktree-output", _encode, _decode)
