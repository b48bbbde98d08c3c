"""Walk down or up the tree, hundreds of levels per query, and read only the IDs of the nodes."""

from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import TypeVar
from uuid import UUID

from django_tasktree.conf import settings
from django_tasktree.engine.backends import backend
from django_tasktree.engine.backends.base import as_uuid
from django_tasktree.engine.transitions import nodes

T = TypeVar("T")

#: Levels per recursive query; MariaDB ends a recursive query after 1,000 levels without an error.
LEVELS = 500

_DOWN = """
    WITH RECURSIVE below (id, step) AS (
        SELECT id, 0 FROM {{node}} WHERE run_id = %s AND id IN ({tops})
        UNION ALL
        SELECT child.id, below.step + 1 FROM {{node}} child JOIN below ON child.parent_id = below.id
        WHERE child.run_id = %s AND below.step < %s
    )
    SELECT id, step FROM below ORDER BY step
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
    """Yield the IDs of a node and of all nodes below it, parents before children.

    Args:
        run_id: the run.
        top: the node.
    """
    yield top
    # Look for a child first: in a wide tree, a database may read all nodes of the run for the recursive query.
    if not backend().rows("SELECT 1 FROM {node} WHERE run_id = %s AND parent_id = %s LIMIT 1", run_id, top):
        return
    frontier = [top]
    while frontier:
        lowest: list[UUID] = []
        for some in in_chunks(frontier, settings.batch_size):
            statement = _DOWN.format(tops=", ".join(["%s"] * len(some)))
            for key, step in backend().rows(statement, run_id, *some, run_id, LEVELS):
                if step:
                    yield as_uuid(key)
                if step == LEVELS:
                    lowest.append(as_uuid(key))
        frontier = lowest


def levels_below(run_id: UUID, tops: Iterable[UUID]) -> Iterator[list[UUID]]:
    """Yield the IDs of the nodes below some nodes, without these, level by level.

    Each level is read when the caller asks for it, with a query for ``BATCH_SIZE`` parents.

    Args:
        run_id: the run.
        tops: the nodes; those of them that are below others are left out, too.
    """
    level = list(tops)
    known = set(level)
    while level:
        below: list[UUID] = []
        for some in in_chunks(level, settings.batch_size):
            below += nodes().filter(run_id=run_id, parent__in=some).order_by("id").values_list("id", flat=True)
        level = [key for key in below if key not in known]
        known.update(level)
        if level:
            yield level


def is_larger(run_id: UUID, tops: Iterable[UUID], number: int) -> bool:
    """Return whether some nodes and all nodes below them are more than a given number.

    Args:
        run_id: the run.
        tops: the nodes; none of them is below another.
        number: the number; the walk ends when it is exceeded.
    """
    below = chain.from_iterable(subtree(run_id, top) for top in tops)
    return next(islice(below, number, None), None) is not None


def ancestors(run_id: UUID, parents: Iterable[UUID]) -> set[UUID]:
    """Return the IDs of some nodes and of all their ancestors.

    A query reads a node once for each distance from which it is reached. To keep the number of rows proportional to the
    number of IDs, a query covers many levels only while most of its rows are new nodes.

    Args:
        run_id: the run.
        parents: the lowest nodes.
    """
    found = set(parents)
    frontier = set(found)
    levels = 1
    while frontier:
        steps, number = _steps_up(run_id, frontier, levels)
        new = steps.keys() - found
        found |= new
        frontier = {key for key in new if steps[key] == levels}
        levels = min(2 * levels, LEVELS) if 2 * len(new) >= number else max(levels // 2, 1)
    return found


def _steps_up(run_id: UUID, starts: set[UUID], levels: int) -> tuple[dict[UUID, int], int]:
    """Read the ancestors of some nodes up to a number of levels.

    Returns:
        Ancestor -> the least distance from one of the nodes, in levels; and the number of rows that were read.
    """
    steps: dict[UUID, int] = {}
    number = 0
    for some in in_chunks(list(starts), settings.batch_size):
        statement = _UP.format(starts=", ".join(["%s"] * len(some)))
        for key, step in backend().rows(statement, run_id, *some, run_id, levels):
            if step:
                number += 1
                node = as_uuid(key)
                steps[node] = min(step, steps.get(node, step))
    return steps, number


def in_batches(keys: Iterator[UUID]) -> Iterator[list[UUID]]:
    """Yield the IDs in lists of ``BATCH_SIZE``, for one statement each."""
    while batch := list(islice(keys, settings.batch_size)):
        yield batch


def in_chunks(keys: list[T], size: int) -> Iterator[list[T]]:
    """Yield IDs or labels in lists of a given size, for one statement each."""
    for start in range(0, len(keys), size):
        yield keys[start : start + size]
