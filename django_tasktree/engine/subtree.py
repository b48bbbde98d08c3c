"""Walk the nodes below a node, or above some, a few hundred levels at a time, without reading more than their keys."""

from collections.abc import Iterable, Iterator
from itertools import islice
from uuid import UUID

from django_tasktree.conf import settings
from django_tasktree.engine import sql

#: MariaDB stops a recursive query after 1,000 levels by itself.
_LEVELS = 500

_DOWN = """
    WITH RECURSIVE below (id, step) AS (
        SELECT id, 0 FROM {{node}} WHERE run_id = %s AND id IN ({tops})
        UNION ALL
        SELECT child.id, below.step + 1 FROM {{node}} child JOIN below ON child.parent_id = below.id
        WHERE child.run_id = %s AND below.step < %s
    )
    SELECT id, step FROM below
"""

_UP = """
    WITH RECURSIVE above (id, parent_id, step) AS (
        SELECT id, parent_id, 0 FROM {{node}} WHERE run_id = %s AND id IN ({starts})
        UNION
        SELECT parent.id, parent.parent_id, above.step + 1
        FROM {{node}} parent JOIN above ON parent.id = above.parent_id
        WHERE parent.run_id = %s AND above.step < %s
    )
    SELECT id, step FROM above
"""


def subtree(run_id: UUID, top: UUID) -> Iterator[UUID]:
    """Give the keys of a node and of all nodes below it, from the top down.

    Args:
        run_id: the run.
        top: the node.
    """
    yield top
    # In a wide tree the statistics of a database may make it read all nodes of the run for the few below one.
    if not sql.rows("SELECT 1 FROM {node} WHERE run_id = %s AND parent_id = %s LIMIT 1", run_id, top):
        return
    frontier = [top]
    while frontier:
        lowest: list[UUID] = []
        for some in in_chunks(frontier, settings.batch_size):
            statement = _DOWN.format(tops=", ".join(["%s"] * len(some)))
            for key, step in sql.rows(statement, run_id, *some, run_id, _LEVELS):
                if step:
                    yield sql.as_uuid(key)
                if step == _LEVELS:
                    lowest.append(sql.as_uuid(key))
        frontier = lowest


def ancestors(run_id: UUID, parents: Iterable[UUID]) -> set[UUID]:
    """Return the keys of nodes and of all nodes above them.

    The number of rows that are read is proportional to the number of keys: one query goes up many levels only where
    the ways up do not meet, for it reads a node once for each distance from which it is reached.

    Args:
        run_id: the run.
        parents: the lowest of them.
    """
    found = set(parents)
    frontier = set(found)
    levels = 1
    while frontier:
        steps, number = _steps_up(run_id, frontier, levels)
        new = steps.keys() - found
        found |= new
        frontier = {key for key in new if steps[key] == levels}
        levels = min(2 * levels, _LEVELS) if 2 * len(new) >= number else max(levels // 2, 1)
    return found


def _steps_up(run_id: UUID, starts: set[UUID], levels: int) -> tuple[dict[UUID, int], int]:
    """Walk up from nodes.

    Returns:
        The keys above them, each with the least distance from one of them; and how many rows were read for that.
    """
    steps: dict[UUID, int] = {}
    number = 0
    for some in in_chunks(list(starts), settings.batch_size):
        statement = _UP.format(starts=", ".join(["%s"] * len(some)))
        for key, step in sql.rows(statement, run_id, *some, run_id, levels):
            if step:
                number += 1
                node = sql.as_uuid(key)
                steps[node] = min(step, steps.get(node, step))
    return steps, number


def in_batches(keys: Iterator[UUID]) -> Iterator[list[UUID]]:
    """Group keys for one statement each."""
    while batch := list(islice(keys, settings.batch_size)):
        yield batch


def in_chunks(keys: list[UUID], size: int) -> Iterator[list[UUID]]:
    """Split keys for one statement each."""
    for start in range(0, len(keys), size):
        yield keys[start : start + size]
