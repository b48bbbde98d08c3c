"""The values of columns in the rows of hand-written statements, as Django returns those of its own statements."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from django_tasktree.models import NodeRun


def converted(
    rows: Sequence[Sequence[Any]], names: tuple[str, ...], connection: BaseDatabaseWrapper
) -> list[tuple[Any, ...]]:
    """Convert the values that a database driver has returned.

    Args:
        rows: the rows.
        names: the attribute names of the columns of nodes with which each row begins.
        connection: the connection on which they were read.
    """
    if not rows:
        return []
    chains = [
        (place, column, chain)
        for place, column in enumerate(_columns(names))
        if (chain := [*connection.ops.get_db_converters(column), *column.get_db_converters(connection)])
    ]
    found: list[tuple[Any, ...]] = []
    for row in rows:
        values = list(row)
        for place, column, chain in chains:
            for convert in chain:
                values[place] = convert(values[place], column, connection)
        found.append(tuple(values))
    return found


@lru_cache(maxsize=16)
def _columns(names: tuple[str, ...]) -> tuple[Any, ...]:
    fields = {field.attname: field for field in NodeRun._meta.concrete_fields}
    return tuple(fields[name].get_col(NodeRun._meta.db_table) for name in names)
