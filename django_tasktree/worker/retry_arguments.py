"""The arguments that a body gives its retry: the row must have them, for the message may be lost."""

from typing import Any

from django_tasktree import serialization
from django_tasktree.worker.message import HEADER


def changed_arguments(task: Any, args: Any, kwargs: Any) -> dict[str, str]:
    """Write down what ``self.retry(args=…, kwargs=…)`` was given.

    Args:
        task: the task instance whose body runs.
        args: the next attempt's positional arguments; None where they are to be the same.
        kwargs: its keyword arguments; None where they are to be the same.

    Returns:
        The columns that change.

    Raises:
        SerializationError: a value can't be stored, or takes more than the setting ``MAX_ARGS_SIZE`` allows.
    """
    serializer = task.request.headers[HEADER].get("serializer") or task.serializer
    prefer = "pickle" if serializer == "pickle" else "json"
    given = {"args": args, "kwargs": kwargs}
    return {
        name: serialization.check_size(serialization.dumps(value, prefer=prefer), "max_args_size")
        for name, value in given.items()
        if value is not None
    }
