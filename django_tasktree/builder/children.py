"""What trees and nodes have in common: child nodes, whose labels differ, and references to their results."""

from collections.abc import Mapping, Sequence, Set
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from django_tasktree.builder.on_demand import MadeOnDemand
from django_tasktree.encoding.labels import check_label
from django_tasktree.encoding.references import Output
from django_tasktree.exceptions import InvalidOption

if TYPE_CHECKING:
    from django_tasktree.builder.nodes import TaskTreeNode

_NOTHING: Mapping[str, Any] = MappingProxyType({})


class Parent:
    """An object that has child nodes: a tree, a node, or the running node."""

    __slots__ = ("__weakref__", "_children", "_labels", "_stack")

    children: "MadeOnDemand[list[TaskTreeNode[Any]]]" = MadeOnDemand(list)

    def __init__(self) -> None:
        self._children: list[TaskTreeNode[Any]] | None = None
        self._stack: list[TaskTreeNode[Any]] | None = None
        #: Those of the children.
        self._labels: set[str] | None = None

    @property
    def outputs(self) -> Output[list[Any]]:
        """A reference to the list of the results of the successful children, without gather nodes.

        The results are in the order of the children. Use it as an argument of a gather node, or of another node that
        runs later.
        """
        return Output(self, "outputs")

    @property
    def outcomes(self) -> Output[list[dict[str, Any]]]:
        """A reference to the outcomes of the children in order, without gather nodes, for a task that handles failures.

        Each outcome is a dict: ``node`` (the ID), ``label`` (None without one), ``task``, ``args`` and ``kwargs`` (with
        outputs as text), ``state`` (``"SUCCESS"``, ``"FAILURE"``, …), ``result`` (None unless the child succeeded) and
        ``error`` (None, or a dict with ``type`` and ``message``).
        """
        return Output(self, "outcomes")

    @property
    def subtree_outputs(self) -> Output[list[Any]]:
        """Like :attr:`outputs`, but for a child with a gather node, the result of that node: map-reduce over levels."""
        return Output(self, "subtree_outputs")

    def _place(self, node: "TaskTreeNode[Any]", label: str | None) -> "TaskTreeNode[Any]":
        """Append a new node to the children, and return it."""
        if label is not None:
            self._name(node, label)
        node.parent = self
        self.children.append(node)
        return node

    def _name(self, node: "TaskTreeNode[Any]", label: str) -> None:
        if self._labels is None:
            self._labels = set()
        label = check_label(label)
        if label in self._labels:
            raise InvalidOption(
                f"label={label!r} is the label of another child of {self!r}: labels of siblings must differ"
            )
        self._labels.add(label)
        node._label = label


def children_of(parent: Parent) -> "Sequence[TaskTreeNode[Any]]":
    """Return the children of a tree or node, to be read only; unlike the attribute, this makes no empty list."""
    return parent._children or ()


def labels_of(parent: Parent) -> Set[str]:
    """Return the labels of the children of a tree or node, to be read only."""
    return parent._labels or frozenset()


def kwargs_of(node: "TaskTreeNode[Any]") -> Mapping[str, Any]:
    """Return the keyword arguments of a node, to be read only; unlike the attribute, this makes no empty dict."""
    return node._kwargs or _NOTHING


def options_of(node: "TaskTreeNode[Any]") -> Mapping[str, Any]:
    """Return the options of a node, to be read only; unlike the attribute, this makes no empty dict."""
    return node._options or _NOTHING


def each_of(node: Parent) -> "TaskTreeNode[Any] | None":
    """Return the node of one item of a map; None if the node is not a map node."""
    return getattr(node, "each", None)
