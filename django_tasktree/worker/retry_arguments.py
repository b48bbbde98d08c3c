"""The arguments that a task function passes to ``retry()``; stored in the row, because the message may be lost."""

from typing import Any

from django_tasktree.dispatch.message import HEADER
from django_tasktree.encoding import serialization
from django_tasktree.encoding.nested import holds
from django_tasktree.encoding.stand_ins import STOOD_FOR, put_in


class RetryArguments:
    """The arguments of ``self.retry(args=…, kwargs=…)``.

    Args:
        task: the task instance whose function runs.
        args: the positional arguments of the next attempt; None keeps those of this attempt.
        kwargs: the keyword arguments of the next attempt; None keeps those of this attempt.

    Attributes:
        args: the positional arguments for the message, with stand-ins for rows, paths and members of enumerations.
        kwargs: the keyword arguments for the message, in the same form.
        has_stand_ins: whether the arguments contain stand-ins.
    """

    def __init__(self, task: Any, args: Any, kwargs: Any) -> None:
        serializer = task.request.headers[HEADER].get("serializer") or task.serializer
        self._prefer = "pickle" if serializer == "pickle" else "json"
        kinds = serialization.stood_for(self._prefer)
        self.args = put_in(args, kinds)
        self.kwargs = put_in(kwargs, kinds)
        self.has_stand_ins = holds([args, kwargs], STOOD_FOR)

    def columns(self) -> dict[str, Any]:
        """Return the columns of the node that change, with their new values.

        Raises:
            SerializationError: if a value can't be stored, or is larger than the setting ``MAX_ARGS_SIZE`` allows.
        """
        changed: dict[str, Any] = {
            name: serialization.write(value, "max_args_size", prefer=self._prefer)
            for name, value in (("args", self.args), ("kwargs", self.kwargs))
            if value is not None
        }
        return {**changed, "has_references": True} if self.has_stand_ins else changed

    def mark(self, options: dict[str, Any]) -> dict[str, Any]:
        """Return the options of the message, with a header that marks stand-ins if there are any.

        Args:
            options: the options of the retry's signature; not changed.
        """
        if not self.has_stand_ins:
            return options
        headers = options["headers"]
        return {**options, "headers": {**headers, HEADER: {**headers[HEADER], "references": True}}}
