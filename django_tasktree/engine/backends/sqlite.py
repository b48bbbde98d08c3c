"""SQLite: one writer at a time, and the clock of this machine."""

from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from typing import Any

from django_tasktree.encoding import times
from django_tasktree.engine.backends.base import Backend


class SQLite(Backend):
    """SQLite. Statements are not limited: all writers wait for the only writer, up to the timeout of the connection."""

    random_id = "lower(hex(randomblob(16)))"

    def now(self) -> datetime:
        """See :meth:`Backend.now`."""
        return times.now()

    def limited_statements(self) -> AbstractContextManager[Any]:
        """See :meth:`Backend.limited_statements`."""
        return nullcontext()
