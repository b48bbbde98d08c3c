"""The rows of the form with which people compose drafts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django_tasktree.exceptions import TaskTreeError


@dataclass(frozen=True)
class NodeRow:
    """One node of a draft.

    Attributes:
        name: the name by which other rows refer to it.
        task: the registered name of its task.
        args: positional arguments that JSON can hold. ``{"$output": "name"}`` is the result of another row.
            ``$outputs``, ``$outcomes`` and ``$subtree_outputs`` are those of the nodes below a row, or of the whole
            tree if the name is ``""``. An additional ``"path"``, a list of keys and positions, selects a part of the
            result.
        kwargs: keyword arguments, in the same form.
        parent: the name of the parent's row; "" for a root node.
        run_when: the outcome of the parent after which the node runs.
        is_gather: whether it is a gather node, which waits for its siblings and everything below them.
        allow_failure: whether its own failure does not make the run fail.
        options: further options of ``add_task``.
        label: the label of the node; "" for none.
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
    label: str = ""


class InvalidDraft(TaskTreeError, ValueError):
    """The rows do not describe a valid tree. Correct the attributes that ``errors`` names.

    Attributes:
        errors: position of the row, from 0 -> name of the attribute, or "" -> error message.
        result_error: the error message of the result of the run; "" if it is valid.
    """

    def __init__(self, errors: Mapping[int, Mapping[str, str]], result_error: str = "") -> None:
        self.errors = errors
        self.result_error = result_error
        messages = [f"row {row + 1}: {reason}" for row, reasons in errors.items() for reason in reasons.values()]
        messages += [f"result: {result_error}"] if result_error else []
        super().__init__("; ".join(messages))
