"""Tasks with ``chunk``: their function is called once for many nodes, and takes a list for each of its parameters."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from inspect import BoundArguments, Parameter
from typing import Any

from django_tasktree.conf import settings
from django_tasktree.exceptions import InvalidOption
from django_tasktree.states import OnWorkerLost

#: The largest ``chunk``: if the process dies, the worker's main process queues so many nodes again, one by one.
MAX_CHUNK = 1_000
#: The length of a digest of a task's name.
_DIGEST_LENGTH = 20
#: Separates the parts of a lane. A node whose queue contains it has a message of its own.
MARK = "|"
_VARIADIC = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)
#: They have a length, but their items are not one result for each node, in order.
_NO_RESULTS = (str, bytes, bytearray, Mapping, set, frozenset)


class ChunkFunction:
    """A task function that is called with a list for each of its parameters.

    Args:
        name: the name of the task, for messages.
        function: the function.
        takes_self: whether its first parameter is the task.

    Raises:
        InvalidOption: lists can't be passed to the function.
    """

    def __init__(self, name: str, function: Callable[..., Any], *, takes_self: bool) -> None:
        self.name = name
        self._function = function
        self._takes_self = takes_self
        parameters = list(inspect.signature(function).parameters.values())[takes_self:]
        self._signature = inspect.Signature(parameters)
        if not parameters or any(parameter.kind in _VARIADIC for parameter in parameters):
            raise InvalidOption(
                f"chunk= is not possible for task {name!r}, with the parameters {self._signature}: its function gets a "
                "list for each parameter, so it needs parameters with names, and can't have *args or **kwargs"
            )

    def __call__(self, task: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Call the function with arguments that are lists already."""
        return self._function(task, *args, **kwargs) if self._takes_self else self._function(*args, **kwargs)

    def bind(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> BoundArguments:
        """Return the arguments of one node, with the defaults of parameters that are not given.

        Raises:
            TypeError: they do not fit the parameters.
        """
        try:
            bound = self._signature.bind(*args, **kwargs)
        except TypeError as exc:
            raise TypeError(f"task {self.name!r}: {exc}") from None
        bound.apply_defaults()
        return bound

    def call(self, task: Any, nodes: Sequence[BoundArguments]) -> list[Any]:
        """Call the function for some nodes.

        Args:
            task: the task instance.
            nodes: the arguments of each node.

        Returns:
            The result of each node; an exception is the error of the node.

        Raises:
            TypeError: the function has not returned a list, or something like it.
            ValueError: the list has another length.
        """
        arguments = {name: [bound.arguments[name] for bound in nodes] for name in self._signature.parameters}
        lists = BoundArguments(self._signature, arguments)
        return self._results(self(task, *lists.args, **lists.kwargs), len(nodes))

    def _results(self, returned: Any, expected: int) -> list[Any]:
        rule = f"task {self.name!r} must return a list with one result for each node of its chunk, here {expected:,}"
        if isinstance(returned, _NO_RESULTS) or not (hasattr(returned, "__len__") and hasattr(returned, "__iter__")):
            raise TypeError(f"{rule}, but it returned a value of type {type(returned).__name__}")
        results = list(returned)
        if len(results) != expected:
            raise ValueError(f"{rule}, but it returned {len(results):,}")
        return results


def check_chunk(name: str, chunk: Any, *, atomic: bool | str = False, on_worker_lost: str | None = None) -> None:
    """Check the chunk of a task, and that the other options of the task allow one.

    Args:
        name: the name of the task, for messages.
        chunk: the number of nodes.
        atomic: see ``CallbackTask``.
        on_worker_lost: see ``CallbackTask``.

    Raises:
        InvalidOption: the number is not valid, or the task has another option that excludes a chunk.
    """
    if isinstance(chunk, bool) or not isinstance(chunk, int) or not 1 <= chunk <= MAX_CHUNK:
        raise InvalidOption(f"chunk={chunk!r} of task {name!r} is not a whole number from 1 to {MAX_CHUNK:,}")
    if atomic:
        raise InvalidOption(
            f"task {name!r} can't have both chunk= and atomic=: each node of a chunk has an outcome of its own, so "
            "they can't share one transaction with the writes of the function"
        )
    if on_worker_lost == OnWorkerLost.FAIL:
        raise InvalidOption(
            f"task {name!r} can't have both chunk= and on_worker_lost='fail': if a process dies, all nodes of its "
            "chunk run again"
        )


def check_chunk_task(
    function: Callable[..., Any], *, chunk: int, bind: bool = False, pydantic: bool = False, **options: Any
) -> None:
    """Check the options of a task with ``chunk`` when it is declared: Celery may create the task much later.

    Args:
        function: the task function.
        chunk: the number of nodes.
        bind: whether its first parameter is the task.
        pydantic: whether Celery is to convert its arguments.
        **options: the other options of the task.

    Raises:
        InvalidOption: the options exclude each other, or lists can't be passed to the function.
    """
    name = options.get("name") or f"{function.__module__}.{function.__qualname__}"
    if pydantic:
        raise InvalidOption(f"task {name!r} can't have both chunk= and pydantic=: its function gets lists")
    check_chunk(name, chunk, **{key: options[key] for key in ("atomic", "on_worker_lost") if key in options})
    ChunkFunction(name, function, takes_self=bind)


def chunk_size(task: Any) -> int:
    """Return for how many nodes the function of a task may be called at once.

    Args:
        task: the task instance; None if it is not registered in this process.
    """
    return (task.chunk or 1) if getattr(task, "chunk_function", None) is not None else 1


def chunk_lane(lane: str, task_name: str, longest: int) -> str:
    """Return the lane of the nodes of a task with a chunk: a process takes only nodes of this task together.

    Args:
        lane: the queue and the priority.
        task_name: the name of the task; a digest takes its place if it is too long.
        longest: the maximum length.
    """
    named = f"{lane}{MARK}{task_name}"
    return named if len(named) <= longest else f"{lane}{MARK}{_digest(task_name)}"


def is_chunk_lane(lane: str, task_name: str) -> bool:
    """Return whether a lane is one of :func:`chunk_lane`; it is not if the node is older than the task's ``chunk``."""
    return lane.endswith((f"{MARK}{task_name}", f"{MARK}{_digest(task_name)}"))


def _digest(task_name: str) -> str:
    return sha256(task_name.encode()).hexdigest()[:_DIGEST_LENGTH]


def seconds_to_share(task: Any) -> float:
    """Return for how many seconds a process may take further nodes after the node of a message.

    Args:
        task: the task of the message; None if it is not known.

    Returns:
        0 if the limits of a task with ``chunk`` count for one call: then each chunk has a message of its own.
    """
    if chunk_size(task) == 1:
        return settings.share_message_for
    has_limits = task.time_limit or task.soft_time_limit or task.rate_limit
    return 0 if has_limits or not task.share_message else settings.share_message_for
