"""A node as somebody writes it down by hand."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django_tasktree.exceptions import TaskTreeError


@dataclass(frozen=True)
class NodeRow:
    """One node.

    Attributes:
        name: what the other rows call it.
        task: the registered name of its task.
        args: positional arguments, as JSON can hold them. ``{"$output": "name"}`` stands for the result of another row;
            so do ``$outputs``, ``$outcomes`` and ``$subtree_outputs`` for those of what is below it, with ``""`` for
            the tree itself. ``"path"`` beside it, a list of keys and positions, leads into the result.
        kwargs: keyword arguments, in the same way.
        parent: the name of the row that it follows; "" for a root node.
        run_when: how the parent must have ended.
        is_gather: whether it waits for all else under its parent.
        allow_failure: whether its own failure leaves the run successful.
        options: further options of ``add_task``.
    """

    name: str
    task: str
    args: list[Any] = field(default_factory=list)
    kwargs: dict[str, Any] = field(default_factory=dict)
    parent: str = ""
    run_when: str = "success"
    is_gather: bool = False
    allow_failure: bool = False
    options: dict[str, Any] = field(default_factory=dict)


class InvalidDraft(TaskTreeError, ValueError):
    """Rows that make no tree.

    Attributes:
        errors: position of the row -> name of the attribute, or "" -> what is wrong with it.
    """

    def __init__(self, errors: Mapping[int, Mapping[str, str]]) -> None:
        self.errors = errors
        told = [f"row {row + 1}: {reason}" for row, reasons in errors.items() for reason in reasons.values()]
        super().__init__("; ".join(told))
