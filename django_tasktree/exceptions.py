"""Every error that this package raises on purpose; a class's docstring says what happened and what helps."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any
from uuid import UUID


class TaskTreeError(Exception):
    """Base of the errors of django_tasktree."""


class NotACitizen(TaskTreeError, TypeError):
    """The task can't take part in a tree. Make it derive from ``CallbackTask``; the message says how."""

    @classmethod
    def of(cls, name: str) -> "NotACitizen":
        """Name the task and the three ways in."""
        return cls(
            f"task {name!r} can't take part in a tree, because it does not derive from django_tasktree.CallbackTask. "
            "Either decorate its function with @task_with_callbacks, or give its decorator base=CallbackTask, or make "
            'every task of the project fit: app = Celery(…, task_cls="django_tasktree:CallbackTask")'
        )


class UnknownTask(TaskTreeError, LookupError):
    """No task of this name is registered. Check its spelling, and that its module is imported."""

    @classmethod
    def of(cls, name: str, near: Sequence[str]) -> "UnknownTask":
        """Name the task, and the one that was perhaps meant."""
        hint = f"; did you mean {near[0]!r}?" if near else ""
        return cls(f"no task is registered as {name!r}{hint}")


class InvalidOption(TaskTreeError, ValueError):
    """An option of a node does not exist, or excludes another."""


class SerializationError(TaskTreeError, ValueError):
    """A value can't be stored. Pass what JSON can hold, or add ``"pickle"`` to Celery's ``accept_content``."""

    @classmethod
    def of(cls, kind: str, reason: str) -> "SerializationError":
        """Name the value's type and the reason."""
        return cls(
            f"a value of type {kind} can't be written as JSON ({reason}): "
            "use types that JSON or Celery's encoder knows, or accept pickle (CELERY_ACCEPT_CONTENT)"
        )


class ValueTooLarge(SerializationError):
    """A value is larger than the project allows. Store it elsewhere, and pass on where it is."""

    @classmethod
    def than(cls, size: int, limit: int, setting: str) -> "ValueTooLarge":
        """Name the size, the limit and the setting."""
        return cls(
            f"it has {size:,} characters as text, and at most {limit:,} are allowed: store it elsewhere, in a file or "
            f"a table, and pass on its name or key; or raise TASKTREE[{setting!r}]"
        )


class InvalidText(TaskTreeError, ValueError):
    """A text can't be stored as it is. Shorten it, or remove the character that the message names."""

    @classmethod
    def too_long(cls, field: str, size: int, limit: int) -> "InvalidText":
        """Name the field, the size and the limit."""
        return cls(f"{field} has {size:,} characters, and at most {limit:,} can be stored: shorten it")

    @classmethod
    def character(cls, field: str, character: str, position: int) -> "InvalidText":
        """Name the field, the character and where it is."""
        what = "the character NUL" if character == "\\x00" else f"half of a surrogate pair, {character},"
        return cls(f"{field} holds {what} at position {position}, which databases can't store: remove it")


class TransactionLeftOpen(TaskTreeError):
    """A task function returned without ending a transaction. Leave each ``atomic`` block, and commit or roll back."""

    @classmethod
    def by(cls, task: str, aliases: Sequence[str]) -> "TransactionLeftOpen":
        """Name the task and the databases."""
        where = ", ".join(map(repr, aliases))
        return cls(
            f"task {task!r} left a transaction open on database {where}: it was rolled back, and what was written in "
            "it is lost. Leave each atomic() block, commit after set_autocommit(False), or give the task atomic=True"
        )


class IllegalMove(TaskTreeError):
    """The engine was asked for a move that the table in ``states.py`` does not have: a defect of this package."""


class Fenced(TaskTreeError):
    """Another attempt at the node has taken over, or it has ended: this attempt's outcome is void."""

    @classmethod
    def of(cls, node_id: UUID, task_id: UUID) -> "Fenced":
        """Name the node and the attempt."""
        return cls(f"the attempt {task_id} at node {node_id} is void")


class WaitTimeout(TaskTreeError, TimeoutError):
    """What was waited for had not ended in time. It goes on: wait again, or look at ``progress()``."""


class NodeNotRun(TaskTreeError):
    """The node has no result, and will have none: it was skipped, revoked, or not reached before the run ended."""


class NodeFailed(TaskTreeError):
    """The node failed with an exception that can't be rebuilt in this process; the message names it."""


class RunNotFound(TaskTreeError, LookupError):
    """No run has this key: it was never committed, or it has been purged."""


class RowNotFound(TaskTreeError, LookupError):
    """A model instance that was passed on as an argument or a result is gone. Check for it, or pass its key on."""


class BrokenReference(TaskTreeError):
    """A node's arguments refer to a result, or a part of one, that does not exist."""


class NotPossible(TaskTreeError):
    """What was asked of a run or a node does not fit its state. The message names the state, and what helps.

    Args:
        text: a sentence with placeholders, ``%(run)s``. It is marked for translation where users read it in a browser.
        **parts: what they stand for: keys of runs and nodes, states, or texts.

    Attributes:
        text: the same.
        parts: the same.
    """

    def __init__(self, text: str, **parts: Any) -> None:
        super().__init__(text % parts if parts else text)
        self.text = text
        self.parts = parts

    def __reduce__(self) -> tuple[Any, ...]:
        return partial(type(self), **self.parts), (self.text,)


class UnsupportedCanvas(TaskTreeError, ValueError):
    """Something in a canvas can't be kept in a tree. The message names it, and what to do instead."""


class NotInANode(TaskTreeError, RuntimeError):
    """``current_node()`` was called outside the body of a task that runs as a node of a tree."""


class UnknownDefinition(TaskTreeError, LookupError):
    """No tree is registered by this name. Check its spelling, and that it stands in ``trees.py`` of an app."""

    @classmethod
    def of(cls, name: str, near: Sequence[str], *, any_registered: bool) -> "UnknownDefinition":
        """Name what was asked for, and what was perhaps meant, or how to register a first tree."""
        if not any_registered:
            return cls(
                f"no tree is registered as {name!r}, nor is any other: decorate a function that returns a TaskTree "
                "with @django_tasktree.register_tree, in the module trees.py of an app in INSTALLED_APPS"
            )
        hint = f": did you mean {near[0]!r}?" if near else "; `manage.py run_tasktree --list` shows those that are"
        return cls(f"no tree is registered as {name!r}{hint}")


class KeyInUse(TaskTreeError, ValueError):
    """The key of a launch belongs to a run of something else. Choose another key, or launch what the message names."""

    @classmethod
    def of(cls, key: str, run_id: UUID, existing: str, wanted: str) -> "KeyInUse":
        """Name the key, the run that has it, and what was to be launched."""
        return cls(
            f"the key {key!r} belongs to run {run_id} of {existing}, so it can't be given to a run of {wanted}: "
            "choose another key"
        )


class InvalidParameter(TaskTreeError, ValueError):
    """Parameters of a tree are missing, unknown or of the wrong type. Correct those that the message names.

    Attributes:
        errors: for each parameter at fault the reason, without the names of the parameter and the tree.
    """

    def __init__(self, message: str, errors: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.errors: dict[str, str] = dict(errors or {})


class InvalidDefinition(TaskTreeError, TypeError):
    """A function can't define a tree. Its parameters, its name or what it returns must change as the message says."""
