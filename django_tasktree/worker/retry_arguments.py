"""The arguments that a task function gives its retry: the row must have them, for the message may be lost."""

from typing import Any

from django_tasktree import serialization
from django_tasktree.nested import holds
from django_tasktree.stand_ins import STOOD_FOR, put_in
from django_tasktree.worker.message import HEADER


class RetryArguments:
    """What ``self.retry(args=…, kwargs=…)`` was given.

    Args:
        task: the task instance whose function runs.
        args: the next attempt's positional arguments; None where they are to be the same.
        kwargs: its keyword arguments; None where they are to be the same.

    Attributes:
        args: what the message takes: stand-ins in the place of rows, paths and members of enumerations.
        kwargs: the same of the keyword arguments.
        has_stand_ins: whether there are any.
    """

    def __init__(self, task: Any, args: Any, kwargs: Any) -> None:
        serializer = task.request.headers[HEADER].get("serializer") or task.serializer
        self._prefer = "pickle" if serializer == "pickle" else "json"
        kinds = serialization.stood_for(self._prefer)
        self.args = put_in(args, kinds)
        self.kwargs = put_in(kwargs, kinds)
        self.has_stand_ins = holds([args, kwargs], STOOD_FOR)

    def columns(self) -> dict[str, Any]:
        """Return the columns of the node that change.

        Raises:
            SerializationError: a value can't be stored, or takes more than the setting ``MAX_ARGS_SIZE`` allows.
        """
        changed: dict[str, Any] = {
            name: serialization.write(value, "max_args_size", prefer=self._prefer)
            for name, value in (("args", self.args), ("kwargs", self.kwargs))
            if value is not None
        }
        return {**changed, "has_references": True} if self.has_stand_ins else changed

    def mark(self, options: dict[str, Any]) -> dict[str, Any]:
        """Return the options of the message; where there are stand-ins, its header says so."""
        if not self.has_stand_ins:
            return options
        headers = options["headers"]
        return {**options, "headers": {**headers, HEADER: {**headers[HEADER], "references": True}}}
