"""The exceptions of this package. The docstring of each class gives the cause and the remedy."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any
from uuid import UUID


class TaskTreeError(Exception):
    """The base class of this package's exceptions."""


class TaskNotSupported(TaskTreeError, TypeError):
    """The task can't be a node of a tree. Derive it from ``CallbackTask``, as the message says."""

    @classmethod
    def of(cls, name: str) -> "TaskNotSupported":
        """Return the error for a task, with the three remedies."""
        return cls(
            f"task {name!r} can't take part in a tree, because it does not derive from django_tasktree.CallbackTask. "
            "Either decorate its function with @task_with_callbacks, pass base=CallbackTask to its decorator, or set "
            'the class of all tasks of the project: app = Celery(…, task_cls="django_tasktree:CallbackTask")'
        )


class UnknownTask(TaskTreeError, LookupError):
    """No task of this name is registered. Check its spelling, and that its module is imported."""

    @classmethod
    def of(cls, name: str, near: Sequence[str]) -> "UnknownTask":
        """Return the error for a task's name.

        Args:
            name: the name.
            near: similar names of registered tasks.
        """
        hint = f"; did you mean {' or '.join(map(repr, near))}?" if near else ""
        return cls(f"no task is registered as {name!r}{hint}")


class InvalidOption(TaskTreeError, ValueError):
    """An option of a node does not exist, has an invalid value, or conflicts with another option."""


class SerializationError(TaskTreeError, ValueError):
    """A value can't be stored or read. Use values that JSON can hold, or add ``"pickle"`` to ``accept_content``."""

    @classmethod
    def of(cls, kind: str, reason: str) -> "SerializationError":
        """Return the error for a type of values, with the reason unless it only repeats the type."""
        says_the_same = reason == f"Object of type {kind.rpartition('.')[2]} is not JSON serializable"
        why = "" if says_the_same else f" ({reason})"
        return cls(
            f"a value of type {kind} can't be written as JSON{why}: "
            "use types that JSON or Celery's encoder knows, or accept pickle (CELERY_ACCEPT_CONTENT)"
        )


class ValueTooLarge(SerializationError):
    """A value is larger than the project allows. Store it elsewhere, and pass its name or key."""

    @classmethod
    def than(cls, size: int, limit: int, setting: str) -> "ValueTooLarge":
        """Return the error for a size, the limit in characters and the name of its setting."""
        return cls(
            f"it has {size:,} characters as text, and at most {limit:,} are allowed: store it elsewhere, in a file or "
            f"a table, and pass its name or key; or increase TASKTREE[{setting!r}]"
        )


class InvalidText(TaskTreeError, ValueError):
    """A text can't be stored. Shorten it, or remove the character that the message names."""

    @classmethod
    def too_long(cls, field: str, size: int, limit: int) -> "InvalidText":
        """Return the error for a text with more characters than its field allows."""
        return cls(f"{field} has {size:,} characters, and at most {limit:,} can be stored: shorten it")

    @classmethod
    def character(cls, field: str, character: str, position: int) -> "InvalidText":
        """Return the error for a text with a character that can't be stored."""
        what = "the character NUL" if character == "\\x00" else f"half of a surrogate pair, {character},"
        return cls(f"{field} contains {what} at position {position}, which databases can't store: remove it")


class TransactionLeftOpen(TaskTreeError):
    """A :term:`task function` returned with an open transaction. Exit each ``atomic`` block, commit or roll back."""

    @classmethod
    def by(cls, task: str, aliases: Sequence[str]) -> "TransactionLeftOpen":
        """Return the error for a task's name and the aliases of the databases."""
        where = ", ".join(map(repr, aliases))
        return cls(
            f"task {task!r} left a transaction open on database {where}: it was rolled back, and its writes are lost. "
            "Exit each atomic() block, commit after set_autocommit(False), or set atomic=True on the task"
        )


class InvalidTransition(TaskTreeError):
    """The table of transitions in ``states.py`` does not allow a change of state: a bug in this package."""


class StaleAttempt(TaskTreeError):
    """Another attempt at the node has replaced this one, or the node has ended: this attempt's outcome is discarded."""

    @classmethod
    def of(cls, node_id: UUID, task_id: UUID) -> "StaleAttempt":
        """Return the error for a node and the task ID of the attempt."""
        return cls(f"the attempt {task_id} at node {node_id} is out of date")


class WaitTimeout(TaskTreeError, TimeoutError):
    """A run or node did not end within the timeout. It continues: wait again, or check ``progress()``."""


class NodeNotRun(TaskTreeError):
    """The node has no result and will not get one: it was skipped or revoked, or the run ended before it could run."""


class NodeFailed(TaskTreeError):
    """The node failed with an exception that can't be recreated in this process; the message names it."""


class WaitExpired(TaskTreeError):
    """No event ended a :term:`wait node` before its ``timeout``. Send the event, or complete the node; or retry it."""


class SubRunFailed(TaskTreeError):
    """The :term:`sub-run` for which a node waited has failed or was revoked. Correct the cause, and retry the node."""


class RunsTooDeep(TaskTreeError):
    """A run would start a :term:`sub-run` at too great a depth: probably it starts itself without an end."""

    @classmethod
    def of(cls, run_id: UUID, limit: int) -> "RunsTooDeep":
        """Return the error for the run that starts another one, and the limit."""
        return cls(
            f"run {run_id} can't start a run of its own: it is {limit} runs deep already, which is the limit. Let the "
            "recursion end, or increase TASKTREE['MAX_RUN_DEPTH']"
        )


class RunNotFound(TaskTreeError, LookupError):
    """No run, or no node, has this ID: the launch was not committed, or the run was deleted."""

    @classmethod
    def of_run(cls, run_id: UUID) -> "RunNotFound":
        """Name a run that does not exist."""
        return cls(f"no run {run_id}: was its launch rolled back, or has it been purged?")

    @classmethod
    def of_node(cls, node_id: UUID) -> "RunNotFound":
        """Name a node that does not exist."""
        return cls(f"no node {node_id}: was its launch rolled back, or has its run been purged?")


class NoResult(TaskTreeError):
    """A run has no result: its tree was built without ``returns()``, or the run did not succeed."""


class NodeNotFound(TaskTreeError, KeyError):
    """A run has no node at a path of labels. The message lists the labels that there are."""

    def __str__(self) -> str:
        """Return the message, which ``KeyError`` would return in quotes."""
        return str(self.args[0])


class RowNotFound(TaskTreeError, LookupError):
    """A model instance that was passed as an argument or a result does not exist any more. Pass its key instead."""


class BrokenReference(TaskTreeError):
    """A node's arguments refer to a result, or to a part of a result, that does not exist."""


class NotPossible(TaskTreeError):
    """An :term:`action` does not fit the state of the run or node. The message names the state and the remedy.

    Args:
        text: a sentence with placeholders such as ``%(run)s``. Pages show its translation.
        **parts: the values of the placeholders: IDs of runs and nodes, states, numbers or texts.

    Attributes:
        text: as above.
        parts: as above.
    """

    def __init__(self, text: str, **parts: Any) -> None:
        super().__init__(text % parts if parts else text)
        self.text = text
        self.parts = parts

    def __reduce__(self) -> tuple[Any, ...]:
        return partial(type(self), **self.parts), (self.text,)


class UnsupportedCanvas(TaskTreeError, ValueError):
    """A tree can't represent a part of a :term:`canvas`. The message names the part and an alternative."""


class NotInANode(TaskTreeError, RuntimeError):
    """``current_node()`` was called outside the function of a task that runs as a node of a tree."""


class UnknownDefinition(TaskTreeError, LookupError):
    """No definition has this name. Check its spelling, and that the module ``trees.py`` of an app contains it."""

    @classmethod
    def of(cls, name: str, near: Sequence[str], *, any_registered: bool) -> "UnknownDefinition":
        """Return the error for a name, with a suggestion.

        Args:
            name: the name.
            near: similar names of registered definitions.
            any_registered: whether there are registered definitions; if not, the error explains how to register one.
        """
        if not any_registered:
            return cls(
                f"no definition is registered as {name!r}, nor is any other: decorate a function that returns a "
                "TaskTree with @django_tasktree.register_tree, in the module trees.py of an app in INSTALLED_APPS"
            )
        hint = f": did you mean {near[0]!r}?" if near else "; `manage.py run_tasktree --list` shows all that are"
        return cls(f"no definition is registered as {name!r}{hint}")


class KeyInUse(TaskTreeError, ValueError):
    """The launch key belongs to a run of another tree. Use another key."""

    @classmethod
    def of(cls, key: str, run_id: UUID, existing: str, wanted: str) -> "KeyInUse":
        """Return the error for a launch key.

        Args:
            key: the key.
            run_id: the run that has the key.
            existing: describes the tree of that run.
            wanted: describes the tree to launch.
        """
        return cls(
            f"the key {key!r} belongs to run {run_id} of {existing}, so it can't be given to a run of {wanted}: "
            "use another key"
        )


class InvalidParameter(TaskTreeError, ValueError):
    """Parameters of a definition are missing, unknown or of the wrong type. Correct those that the message names.

    Attributes:
        errors: name of the parameter -> error message, without the names of the parameter and the definition.
    """

    def __init__(self, message: str, errors: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.errors: dict[str, str] = dict(errors or {})


class InvalidDefinition(TaskTreeError, TypeError):
    """A function can't be a definition. Change its parameters, its name or its return value as the message says."""


class StopPropagation(Exception):
    """Raise this in a task function to end its branch: the node succeeds, and nothing below it runs.

    Args:
        result: the node's result.

    Attributes:
        result: as above.
    """

    def __init__(self, result: Any = None) -> None:
        super().__init__(result)
        self.result = result
