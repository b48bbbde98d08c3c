"""References to other nodes' results inside a node's arguments.

Rows and messages contain a reference as a small JSON object. The worker that claims the node replaces it with the
result (``django_tasktree.worker.arguments``).
"""

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Generic
from uuid import UUID

from kombu.utils import json

from django_tasktree.types import R_co

#: A key of a dict or a position in a list: one step of the path to a part of a result.
Step = str | int


def pick(value: Any, path: Iterable[Step]) -> Any:
    """Return the part of a value that a path leads to.

    Raises:
        KeyError, IndexError, TypeError: if the value has no such part.
    """
    for step in path:
        value = value[step]
    return value


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
        return f"{self.kind}{''.join(f'[{step!r}]' for step in self.path)}"

    def pick(self, value: Any) -> Any:
        """Return the part of a result that the path leads to.

        Raises:
            KeyError, IndexError, TypeError: if the result has no such part.
        """
        return pick(value, self.path)


@dataclass(frozen=True)
class Output(Generic[R_co]):
    """A reference to a node that is still being built: ``node.output``, ``node.output["key"]``, ``node.outputs``."""

    # Private, since a part of a result may have any name: ``node.output.path`` has to be refused.
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
        if not isinstance(step, (str, int)):
            raise TypeError(f"a part of an output is named by a key or a position, not by {step!r}")
        return Output(self._node, self._kind, (*self._path, step))

    if TYPE_CHECKING:
        # Type checkers report by themselves what an output does not have; but with __getitem__ it would be iterable.
        __iter__: ClassVar[None]
    else:

        def _refuse(self, *_args: Any) -> Any:
            """Raise TypeError: the value does not exist before the node has run."""
            path = "".join(f"[{step!r}]" for step in self._path)
            raise TypeError(
                f"{self._kind}{path} has no value before the node has run: "
                "pass it on as an argument, and use it in the task"
            )

        # Each of these needs the value. Without them, Python would use a default or raise a less helpful error.
        __iter__ = __len__ = __contains__ = __bool__ = __str__ = __format__ = __int__ = __float__ = __index__ = _refuse
        __add__ = __sub__ = __mul__ = __matmul__ = __truediv__ = __floordiv__ = __mod__ = __divmod__ = __pow__ = _refuse
        __radd__ = __rsub__ = __rmul__ = __rmatmul__ = __rtruediv__ = __rfloordiv__ = __rmod__ = __rdivmod__ = _refuse
        __rpow__ = __and__ = __or__ = __xor__ = __lshift__ = __rshift__ = __rand__ = __ror__ = __rxor__ = _refuse
        __rlshift__ = __rrshift__ = __neg__ = __pos__ = __abs__ = __invert__ = __round__ = __complex__ = _refuse
        __lt__ = __le__ = __gt__ = __ge__ = _refuse

        def __getattr__(self, name: str) -> Any:
            """Raise an AttributeError that names the way to refer to a part of the result."""
            if name.startswith("_"):
                # Python looks for these attributes when it copies an object, whose copy has no fields yet.
                raise AttributeError(name)
            path = "".join(f"[{step!r}]" for step in self._path)
            raise AttributeError(
                f"{self._kind}{path} has no attribute {name!r}: a part of the result is {self._kind}{path}[{name!r}]; "
                "an attribute of a result can only be used in the task",
                name=name,
                obj=self,
            )


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


json.register_type(Reference, "tasktree-output", _encode, _decode)
