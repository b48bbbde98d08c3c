"""The stored form of what a wait node waits for."""

import json
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any

from django_tasktree.encoding import times

#: The name in the column ``task`` of a wait node. No such task is registered, and no message is sent.
WAIT = "tasktree.wait"
#: No more reminders than this are sent: the column counts them and the first signal.
MOST_REMINDERS = 32_766


@dataclass(frozen=True, slots=True)
class WaitSpec:
    """What a wait node waits for: an event, or a time only.

    Attributes:
        event: the name of the event; empty: only the time ends the wait.
        title: the heading of the pages on which a person completes it; empty: the label of the node.
        description: the text below the heading; empty for none.
        form: the dotted path of the form that validates the payload; empty for none.
        params: the dotted path of the function whose parameters the payload must fit; empty for none.
        types: the parameters that the payload must fit, if no function has them; see
            :mod:`django_tasktree.definitions.payload_types`. None for none.
        timeout: the maximum duration in seconds; None for no limit.
        until: the time at which it ends, as an instant in ISO 8601; empty if ``timeout`` determines it.
        on_timeout: the outcome if the time has passed: ``"failure"``, ``"success"`` or ``"skip"``.
        default: the result if the time has passed and ``on_timeout`` is ``"success"``, as JSON can hold it.
        remind_after: the number of seconds after which ``node_waiting`` is sent again; None for no reminder.
        remind_every: the interval of further reminders in seconds; None for none.
    """

    event: str = ""
    title: str = ""
    description: str = ""
    form: str = ""
    params: str = ""
    types: Any = None
    timeout: float | None = None
    until: str = ""
    on_timeout: str = "failure"
    default: Any = None
    remind_after: float | None = None
    remind_every: float | None = None

    def heading(self, label: str) -> str:
        """Return the heading of the pages on which a person completes it.

        Args:
            label: the name of the node for people.
        """
        return self.title or label

    @property
    def has_parameters(self) -> bool:
        """Whether the payload must fit parameters."""
        return bool(self.params) or self.types is not None

    @staticmethod
    def read(text: str) -> "WaitSpec":
        """Return the specification that a text contains."""
        return WaitSpec(**json.loads(text))

    def write(self) -> str:
        """Return the text of the specification: JSON, without the attributes that have their default."""
        return json.dumps({name: value for name, value in asdict(self).items() if value != _DEFAULTS[name]})

    def due(self, since: datetime) -> datetime | None:
        """Return the stored time at which the wait ends without an event; None if it has no limit.

        Args:
            since: the stored time at which the node began to wait.
        """
        if self.until:
            return times.as_stored(times.read(self.until))
        return None if self.timeout is None else times.after(since, self.timeout)

    def reminders(self, since: datetime, now: datetime) -> int:
        """Return how many reminders have been due.

        Args:
            since: the stored time at which the node began to wait.
            now: the stored time now.
        """
        first = self.remind_every if self.remind_after is None else self.remind_after
        if first is None:
            return 0
        beyond = times.elapsed(since, now).total_seconds() - first
        if beyond < 0:
            return 0
        return 1 if self.remind_every is None else min(1 + int(beyond // self.remind_every), MOST_REMINDERS)


_DEFAULTS = {field.name: field.default for field in fields(WaitSpec)}
