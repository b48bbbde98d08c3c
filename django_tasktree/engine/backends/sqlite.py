"""SQLite: one writer at a time, and the clock of this machine."""

from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from typing import Any
from uuid import UUID

from django_tasktree.encoding import times
from django_tasktree.engine.backends.base import (
    FIND_TAKEABLE,
    SET_TAKEN,
    TAKE,
    Backend,
    takeable_values,
    taken_values,
)
from django_tasktree.engine.types import Dispatch, Taker

_TAKE_NODES = f"UPDATE {{node}} SET {SET_TAKEN} WHERE id IN ({FIND_TAKEABLE})"  # noqa: S608  put together from constants


class SQLite(Backend):
    """SQLite. Statements are not limited: all writers wait for the only writer, up to the timeout of the connection."""

    false = "0"
    random_id = "lower(hex(randomblob(16)))"

    def now(self) -> datetime:
        """See :meth:`Backend.now`."""
        return times.now()

    def take(self, taker: Taker, most: int, after: UUID, at: datetime) -> list[Dispatch]:
        """See :meth:`Backend.take`. The UPDATE comes first: a transaction that has read may not get the write lock."""
        TAKE.check()
        values = (*taken_values(taker, at), *takeable_values(taker, most, after))
        return self.taken_at(taker, at) if self.execute(_TAKE_NODES, *values) else []

    def limited_statements(self) -> AbstractContextManager[Any]:
        """See :meth:`Backend.limited_statements`."""
        return nullcontext()
